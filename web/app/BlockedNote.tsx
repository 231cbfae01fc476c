/** Owns the line in a direct conversation whose other person the caller has blocked. */

import type { Channel } from "../client";
import { useClient, useClientState } from "./hooks";
import { useAttempt } from "./useAttempt";
import { peerOf, personName } from "./wording";

export function BlockedNote({ channel }: { channel: Channel }) {
  const client = useClient();
  const peer = useClientState((state) => peerOf(state, channel));
  const blocked = useClientState((state) => peer !== null && state.blocked.has(peer));
  const name = useClientState((state) => (peer === null ? "" : personName(state, peer)));
  const { failure, attempt } = useAttempt();
  if (peer === null || !blocked) return null;

  async function lift(user: string) {
    await attempt(async () => {
      await client.directory.setBlocked(user, false);
    });
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
