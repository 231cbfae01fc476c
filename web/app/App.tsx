/** Owns the step from a saved session to a running client; leaves the conversation to `Shell`. */
import { useEffect, useState } from "react";

import { Problem } from "../client";
import type { HubbubClient } from "../client";
import { ClientContext } from "./hooks";
import { goTo } from "./route";
import { loadSession, openClient, saveSession } from "./session";
import type { Session } from "./session";
import { Shell } from "./Shell";
import { SignIn } from "./SignIn";
import { Splash } from "./Splash";

export function App() {
  const [session, setSession] = useState<Session | null>(loadSession);
  const [client, setClient] = useState<HubbubClient | null>(null);
  const [failure, setFailure] = useState<Problem | null>(null);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    if (session === null) return;
    let current = true;
    let opened: HubbubClient | null = null;
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
        if (error.status === 401) signOut();
        else setFailure(error);
      },
    );
    return () => {
      current = false;
      opened?.stop();
      setClient(null);
    };
  }, [session, attempt]);

  function signOut() {
    saveSession(null);
    goTo(null);
    setSession(null);
  }

  function tryAgain() {
    setFailure(null);
    setAttempt((n) => n + 1);
  }

  if (session === null) return <SignIn onSignedIn={setSession} />;
  if (client === null) return <Splash failure={failure} onRetry={tryAgain} onSignOut={signOut} />;
  return (
    <ClientContext value={client}>
      <Shell onSignOut={signOut} />
    </ClientContext>
  );
}
