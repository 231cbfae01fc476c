/** Owns the step from a saved session to a running client; leaves the conversation to `Shell`. */
import { useCallback, useEffect, useMemo, useState } from "react";

import { Problem } from "../client";
import type { HubbubClient, SignInOptions } from "../client";
import { ClientContext, SessionContext } from "./hooks";
import type { SessionView } from "./hooks";
import { goTo } from "./route";
import { endSession, loadSession, onSignedInElsewhere, openClient, waysIn } from "./session";
import type { Session } from "./session";
import { Shell } from "./Shell";
import { SignIn } from "./SignIn";
import { Splash } from "./Splash";

export function App() {
  const [session, setSession] = useState<Session | null>(loadSession);
  const [ways, setWays] = useState<SignInOptions | null>(null);
  const [mayEnter, setMayEnter] = useState(true);
  const [client, setClient] = useState<HubbubClient | null>(null);
  const [failure, setFailure] = useState<Problem | null>(null);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    if (session !== null) return;
    let current = true;
    void waysIn().then((found) => {
      if (!current) return;
      if (found.signed_in && mayEnter) setSession("cookie");
      else setWays(found);
    });
    return () => {
      current = false;
    };
  }, [session, mayEnter]);

  const signOut = useCallback(async () => {
    await endSession(session);
    goTo(null);
    setMayEnter(false);
    setFailure(null);
    setSession(null);
  }, [session]);

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
        if (error.status === 401 && session !== "host") void signOut();
        else setFailure(error);
      },
    );
    return () => {
      current = false;
      opened?.stop();
      setClient(null);
    };
  }, [session, attempt, signOut]);

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

  const view = useMemo<SessionView>(() => {
    if (session === "host") return { kind: "host", signOut: null };
    return { kind: session === "cookie" ? "cookie" : "login", signOut: () => void signOut() };
  }, [session, signOut]);

  if (session === null && ways !== null) return <SignIn ways={ways} onSignedIn={setSession} />;
  if (client === null) return <Splash failure={failure} onRetry={tryAgain} onSignOut={view.signOut} />;
  return (
    <SessionContext value={view}>
      <ClientContext value={client}>
        <Shell />
      </ClientContext>
    </SessionContext>
  );
}
