/** The sign-in screen: the identity provider's button and the development form, where the server offers them. */
import { useState } from "react";
import type { SyntheticEvent } from "react";

import { Problem } from "../../client";
import type { SignInOptions } from "../../client/signin";
import { Mark } from "../ui/icons";
import { providerLink, signIn, takeSignInFailure } from "./session";
import type { Session } from "./session";
import { refusal, signInRefusal } from "../text/wording";

interface Props {
  options: SignInOptions;
  onSignedIn: (session: Session) => void;
}

const elsewhere = "You can't sign in here. Open Hubbub from the product it belongs to.";

export function SignIn({ options, onSignedIn }: Props) {
  const [refused] = useState(takeSignInFailure);
  const { development, provider } = options;
  return (
    <main className="sign-in">
      <div className="sign-in-card">
        <Mark />
        <h1>Hubbub</h1>
        <p className="muted">Conversations that keep up with you.</p>
        {provider !== null && (
          <a data-testid="sign-in-provider" className="button button-primary button-wide" href={providerLink(provider.url)}>
            Sign in with {provider.label}
          </a>
        )}
        {provider !== null && refused !== null && (
          <p className="form-error" role="alert">
            {signInRefusal(refused)}
          </p>
        )}
        {development && <DevelopmentForm primary={provider === null} onSignedIn={onSignedIn} />}
        {provider === null && !development && <p>{elsewhere}</p>}
      </div>
      {development && (
        <p className="sign-in-note muted">Development sign-in: any name works. Open another window to sign in as someone else.</p>
      )}
    </main>
  );
}

interface FormProps {
  primary: boolean;
  onSignedIn: (session: Session) => void;
}

function DevelopmentForm({ primary, onSignedIn }: FormProps) {
  const [name, setName] = useState("");
  const [tenant, setTenant] = useState("");
  const [admin, setAdmin] = useState(false);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);

  async function submit(event: SyntheticEvent) {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    try {
      const session = await signIn(name, tenant, admin);
      if (session !== null) return onSignedIn(session);
      setFailure(elsewhere);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setFailure(refusal(error));
    }
    setBusy(false);
  }

  return (
    <form className="sign-in-form" onSubmit={(event) => void submit(event)}>
      <label className="field">
        <span>Your name</span>
        <input
          data-testid="sign-in-name"
          className="input"
          value={name}
          onChange={(event) => setName(event.target.value)}
          autoComplete="username"
          autoFocus={primary}
          required
          pattern=".*\S.*"
          maxLength={64}
          placeholder="Ada Lovelace"
        />
      </label>
      <details className="sign-in-more">
        <summary>Workspace</summary>
        <label className="field">
          <span className="hidden">Workspace</span>
          <input
            data-testid="sign-in-tenant"
            className="input"
            value={tenant}
            onChange={(event) => setTenant(event.target.value)}
            pattern="[a-z0-9\-]{1,64}"
            title="Lower-case letters, digits and dashes"
            placeholder="default"
          />
        </label>
        <label className="check">
          <input type="checkbox" data-testid="sign-in-admin" checked={admin} onChange={(event) => setAdmin(event.target.checked)} />
          Workspace administrator
        </label>
      </details>
      <button data-testid="sign-in-submit" className={primary ? "button button-primary button-wide" : "button button-wide"} disabled={busy}>
        {busy ? "Signing in…" : "Sign in"}
      </button>
      <p className="form-error" role="alert">
        {failure}
      </p>
    </form>
  );
}
