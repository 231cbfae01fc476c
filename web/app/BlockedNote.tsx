/** Owns the line in a direct conversation whose other person the caller has blocked. */
import { useState } from "react";

import { Problem } from "../client";
import type { Channel } from "../client";
import { useClient, useClientState } from "./hooks";
import { peerOf, personName, refusal } from "./wording";

export function BlockedNote({ channel }: { channel: Channel }) {
  const client = useClient();
  const peer = useClientState((state) => peerOf(state, channel));
  const blocked = useClientState((state) => peer !== null && state.blocked.has(peer));
  const name = useClientState((state) => (peer === null ? "" : personName(state, peer)));
  const [failure, setFailure] = useState<string | null>(null);
  if (peer === null || !blocked) return null;

  async function lift(user: string) {
    try {
      await client.directory.setBlocked(user, false);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setFailure(refusal(error.reason, error.detail));
    }
  }

  return (
    <p className="blocked-note" data-testid="blocked-note">
      <span>{failure ?? `You have blocked ${name}. What they write does not reach you.`}</span>
      <button type="button" className="link-button" onClick={() => void lift(peer)}>
        Unblock
      </button>
    </p>
  );
}
