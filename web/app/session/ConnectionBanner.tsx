/** The banner about a lost connection or an expiring session. */
import { useEffect, useState } from "react";

import type { ConnectionState } from "../../client";
import { useClient, useClientState, useSession } from "../state/client";
import { signInInNewWindow } from "./session";
import { clockTime } from "../text/wording";

/** Shorter interruptions are not shown. */
const graceMs = 700;

export function ConnectionBanner() {
  const client = useClient();
  const connection = useClientState((state) => state.connection);
  const now = useNow(connection.name === "waiting");
  const interrupted = useInterrupted(connection.name);
  const { kind, signInAgain: toSignIn } = useSession();
  const expiresAt = useClientState((state) => state.expiresAt);
  /** Only the user can renew a cookie; tokens are renewed automatically. */
  const expiring = expiresAt !== null && kind === "cookie" && connection.name === "open";
  const shown = connection.name === "ended" || expiring || interrupted;
  const signInAgain = toSignIn ?? (() => client.start());

  return (
    <div className="banner-slot" data-testid="connection" data-state={connection.name}>
      {shown && (
        <div className="banner" data-tone={connection.name === "ended" ? "bad" : "wait"} role="status">
          <span>{expiring ? `Your session expires at ${clockTime(new Date(expiresAt).toISOString())}.` : wording(connection, now)}</span>
          {connection.name === "waiting" && (
            <button type="button" className="link-button" onClick={() => client.reconnectNow()}>
              Try now
            </button>
          )}
          {expiring && (
            <button type="button" className="link-button" data-testid="stay" onClick={signInInNewWindow}>
              Stay signed in
            </button>
          )}
          {connection.name === "ended" && (
            <button type="button" className="link-button" data-testid="sign-in-again" onClick={signInAgain}>
              {kind === "host" ? "Try again" : "Sign in again"}
            </button>
          )}
        </div>
      )}
    </div>
  );
}

function wording(connection: ConnectionState, now: number): string {
  switch (connection.name) {
    case "waiting": {
      if (!navigator.onLine) return "You are offline. Messages will be sent when you are back.";
      const seconds = Math.max(1, Math.ceil((connection.retryAt - now) / 1000));
      return `Connection lost. Reconnecting in ${seconds} s`;
    }
    case "ended":
      return ended(connection.code, connection.reason);
    default:
      return "Connecting…";
  }
}

function ended(code: number, reason: string): string {
  switch (code) {
    case 401:
      return "Your session has expired.";
    case 4501:
      return "Your access was revoked.";
    case 4503:
      return "Hubbub is open in too many places. Close one and sign in again.";
    default:
      return `Signed out by the server (${code}${reason === "" ? "" : `: ${reason}`}).`;
  }
}

/** True once the connection has not been open for longer than the grace period. */
function useInterrupted(name: ConnectionState["name"]): boolean {
  const open = name === "open";
  const [interrupted, setInterrupted] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setInterrupted(!open), open ? 0 : graceMs);
    return () => clearTimeout(timer);
  }, [open]);
  return interrupted && !open;
}

function useNow(ticking: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!ticking) return;
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [ticking]);
  return now;
}
