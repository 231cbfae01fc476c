/** Owns telling people about the connection: nothing while it is well, one calm line when it is not. */
import { useEffect, useState } from "react";

import type { ConnectionState } from "../client";
import { useClient, useClientState, useSession } from "./hooks";
import { signInBeside } from "./session";
import { clockTime } from "./wording";

/** A connection that is back within this long is not worth a word. */
const graceMs = 700;

export function ConnectionBanner() {
  const client = useClient();
  const connection = useClientState((state) => state.connection);
  const now = useNow(connection.name === "waiting");
  const troubled = useTroubled(connection.name);
  const { kind, signOut } = useSession();
  const expiresAt = useClientState((state) => state.expiresAt);
  /** Only a person renews a cookie; everything else is asked for again by itself. */
  const ending = expiresAt !== null && kind === "cookie" && connection.name === "open";
  const shown = connection.name === "ended" || ending || troubled;
  const again = kind === "cookie" ? signInBeside : (signOut ?? (() => client.start()));

  return (
    <div className="banner-slot" data-testid="connection" data-state={connection.name}>
      {shown && (
        <div className="banner" data-tone={connection.name === "ended" ? "bad" : "wait"} role="status">
          <span>{ending ? `Your sign-in ends at ${clockTime(new Date(expiresAt).toISOString())}.` : wording(connection, now)}</span>
          {connection.name === "waiting" && (
            <button type="button" className="link-button" onClick={() => client.reconnectNow()}>
              Try now
            </button>
          )}
          {ending && (
            <button type="button" className="link-button" data-testid="stay" onClick={signInBeside}>
              Stay signed in
            </button>
          )}
          {connection.name === "ended" && (
            <button type="button" className="link-button" data-testid="sign-in-again" onClick={again}>
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
      return "Your sign-in has ended.";
    case 4501:
      return "Your access was revoked.";
    case 4503:
      return "Hubbub is open in too many places. Close one and sign in again.";
    default:
      return `Signed out by the server (${code}${reason === "" ? "" : `: ${reason}`}).`;
  }
}

/** True once the connection has been anything but open for longer than the grace. */
function useTroubled(name: ConnectionState["name"]): boolean {
  const well = name === "open";
  const [troubled, setTroubled] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setTroubled(!well), well ? 0 : graceMs);
    return () => clearTimeout(timer);
  }, [well]);
  return troubled && !well;
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
