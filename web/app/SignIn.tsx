/** Owns the development sign-in. Where the server has none, it says who must sign people in instead. */
import { useState } from "react";
import type { SyntheticEvent } from "react";

import { Problem } from "../client";
import { Mark } from "./icons";
import { signIn } from "./session";
import type { Session } from "./session";
import { refusal } from "./wording";

export function SignIn({ onSignedIn }: { onSignedIn: (session: Session) => void }) {
  const [name, setName] = useState("");
  const [tenant, setTenant] = useState("");
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);

  async function submit(event: SyntheticEvent) {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    try {
      const session = await signIn(name, tenant);
      if (session !== null) return onSignedIn(session);
      setFailure("This server has no development sign-in. Open Hubbub from the product it belongs to.");
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setFailure(refusal(error.reason, error.detail));
    }
    setBusy(false);
  }

  return (
    <main className="sign-in">
      <form className="sign-in-card" onSubmit={(event) => void submit(event)}>
        <Mark />
        <h1>Hubbub</h1>
        <p className="muted">Conversations that keep up with you.</p>
        <label className="field">
          <span>Your name</span>
          <input
            data-testid="sign-in-name"
            className="input"
            value={name}
            onChange={(event) => setName(event.target.value)}
            autoComplete="username"
            autoFocus
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
        </details>
        <button data-testid="sign-in-submit" className="button button-primary button-wide" disabled={busy}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
        <p className="form-error" role="alert">
          {failure}
        </p>
      </form>
      <p className="sign-in-note muted">Development sign-in: any name works. Open a second window to be someone else.</p>
    </main>
  );
}
