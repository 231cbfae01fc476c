/** The note in a direct conversation with a user whom the caller has blocked. */

import type { Channel } from "../../client";
import { useClient, useClientState } from "../state/client";
import { useAttempt } from "../state/useAttempt";
import { isolated } from "../text/isolation";
import { Sentence } from "../text/Sentence";
import { peerOf, personName } from "../text/wording";

export function BlockedNote({ channel }: { channel: Channel }) {
  const client = useClient();
  const peer = useClientState((state) => peerOf(state, channel));
  const blocked = useClientState((state) => peer !== null && state.blocked.has(peer));
  const name = useClientState((state) => (peer === null ? "" : personName(state, peer)));
  const { failure, attempt } = useAttempt();
  if (peer === null || !blocked) return null;

  return (
    <p className="blocked-note" data-testid="blocked-note">
      <span>{failure ?? <Sentence text={`You blocked ${isolated(name)}. You won't receive their messages.`} />}</span>
      <button type="button" className="link-button" onClick={() => void attempt(() => client.people.setBlocked(peer, false))}>
        Unblock
      </button>
    </p>
  );
}
