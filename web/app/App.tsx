/** From a saved session to a running client: sign-in, start, sign-out. `Shell` is the app itself. */
import { useCallback, useEffect, useMemo, useState } from "react";

import { Problem } from "../client";
import type { SignInOptions } from "../client/signin";
import type { AppClient } from "./state/appClient";
import { ClientContext, SessionContext } from "./state/client";
import type { SessionView } from "./state/client";
import { goTo } from "./browser/route";
import { availableSignIn, dropSession, endSession, forget, loadSession, onSignedInElsewhere, openClient, proveIdentityInNewWindow, signInInNewWindow, unsentNames, userOf } from "./session/session";
import type { Session } from "./session/session";
import { ErrorBoundary } from "./ErrorBoundary";
import { Shell } from "./Shell";
import { SignIn } from "./session/SignIn";
import { Splash } from "./session/Splash";
import { ConfirmDialog } from "./ui/ConfirmDialog";

export function App() {
  const [session, setSession] = useState<Session | null>(loadSession);
  const [options, setOptions] = useState<SignInOptions | null>(null);
  const [resumeCookie, setResumeCookie] = useState(true);
  const [client, setClient] = useState<AppClient | null>(null);
  const [failure, setFailure] = useState<Problem | null>(null);
  const [attempt, setAttempt] = useState(0);
  /** While the user is asked whether to sign out: the number of unsent messages that this would delete, and whether it has failed. */
  const [asked, setAsked] = useState<{ unsent: number; failed: boolean } | null>(null);

  useEffect(() => {
    if (session !== null) return;
    let current = true;
    void availableSignIn().then((found) => {
      if (!current) return;
      if (found.signed_in && resumeCookie) setSession("cookie");
      else setOptions(found);
    });
    return () => {
      current = false;
    };
  }, [session, resumeCookie]);

  const leave = useCallback(() => {
    goTo(null);
    setResumeCookie(false);
    setFailure(null);
    setSession(null);
  }, []);

  const drop = useCallback(() => {
    dropSession(session);
    leave();
  }, [session, leave]);

  useEffect(() => {
    if (session === null) return;
    let current = true;
    let opened: AppClient | null = null;
    openClient(session).then(
      (ready) => {
        if (!current) return;
        opened = ready;
        ready.start();
        setClient(ready);
      },
      (error: unknown) => {
        if (!current) return;
        if (!(error instanceof Problem)) throw error;
        if (error.status === 401 && session !== "host") drop();
        else setFailure(error);
      },
    );
    return () => {
      current = false;
      opened?.stop();
      setClient(null);
    };
  }, [session, attempt, drop]);

  useEffect(() => {
    if (client === null || session !== "cookie") return;
    const me = client.store.get().me;
    return onSignedInElsewhere(() => {
      void client.api.me().then(
        (now) => {
          if (now.user !== me?.user || now.tenant !== me.tenant) window.location.reload();
          else if (client.store.get().connection.name === "ended") client.start();
          else void client.renew();
        },
        () => undefined,
      );
    });
  }, [client, session]);

  function tryAgain() {
    setFailure(null);
    setAttempt((n) => n + 1);
  }

  const signOut = useCallback(async () => {
    await endSession(session);
    // A running client would store its unsent messages again.
    client?.stop();
    forget(client?.store.get().me ?? userOf(session));
    leave();
  }, [client, session, leave]);

  const view = useMemo<SessionView>(() => {
    if (session === "host") return { kind: "host", signOut: null, signInAgain: null, proveIdentity: null };
    const askOrSignOut = () => {
      const stored = unsentNames(client?.store.get().me ?? userOf(session)).length;
      const known = client?.store.get().outbox.filter((item) => item.state.name !== "stored").length ?? 0;
      const count = Math.max(stored, known);
      if (count > 0) setAsked({ unsent: count, failed: false });
      else
        signOut().catch((error: unknown) => {
          if (!(error instanceof Problem)) throw error;
          setAsked({ unsent: 0, failed: true });
        });
    };
    if (session === "cookie") return { kind: "cookie", signOut: askOrSignOut, signInAgain: signInInNewWindow, proveIdentity: proveIdentityInNewWindow };
    return { kind: "login", signOut: askOrSignOut, signInAgain: drop, proveIdentity: drop };
  }, [client, session, drop, signOut]);

  if (session === null && options !== null) return <SignIn options={options} onSignedIn={setSession} />;
  const question = asked !== null && (
    <ConfirmDialog title="Sign out?" action="Sign out" danger run={signOut} onClose={() => setAsked(null)}>
      {asked.failed && <p data-testid="sign-out-failed">You are still signed in: the server could not end your session everywhere. Try again in a moment.</p>}
      {asked.unsent > 0 && (
        <p>
          {asked.unsent === 1 ? "One message is not sent yet." : `${asked.unsent} messages are not sent yet.`} Signing out deletes {asked.unsent === 1 ? "it" : "them"} from this browser.
        </p>
      )}
    </ConfirmDialog>
  );
  if (client === null) {
    return (
      <>
        <Splash failure={failure} onRetry={tryAgain} onSignOut={view.signOut} />
        {question}
      </>
    );
  }
  return (
    <SessionContext value={view}>
      <ClientContext value={client}>
        <ErrorBoundary>
          <Shell />
        </ErrorBoundary>
        {question}
      </ClientContext>
    </SessionContext>
  );
}
