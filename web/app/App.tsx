/** From a saved session to a running client: sign-in, start, sign-out. `Shell` is the app itself. */
import { useCallback, useEffect, useMemo, useState } from "react";

import { Problem } from "../client";
import type { HubbubClient, SignInOptions } from "../client";
import { ClientContext, SessionContext } from "./state/client";
import type { SessionView } from "./state/client";
import { goTo } from "./browser/route";
import { endSession, loadSession, onSignedInElsewhere, openClient, availableSignIn } from "./session/session";
import type { Session } from "./session/session";
import { Shell } from "./Shell";
import { SignIn } from "./session/SignIn";
import { Splash } from "./session/Splash";

export function App() {
  const [session, setSession] = useState<Session | null>(loadSession);
  const [options, setOptions] = useState<SignInOptions | null>(null);
  const [resumeCookie, setResumeCookie] = useState(true);
  const [client, setClient] = useState<HubbubClient | null>(null);
  const [failure, setFailure] = useState<Problem | null>(null);
  const [attempt, setAttempt] = useState(0);

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

  const signOut = useCallback(async () => {
    await endSession(session);
    goTo(null);
    setResumeCookie(false);
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

  if (session === null && options !== null) return <SignIn options={options} onSignedIn={setSession} />;
  if (client === null) return <Splash failure={failure} onRetry={tryAgain} onSignOut={view.signOut} />;
  return (
    <SessionContext value={view}>
      <ClientContext value={client}>
        <Shell />
      </ClientContext>
    </SessionContext>
  );
}
