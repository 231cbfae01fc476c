/** Above the first message: the start of the conversation, or placeholders while messages load. */
import type { Channel } from "../../client";
import { ChannelAvatar, PersonAvatar } from "../ui/Avatar";
import { useClientState } from "../state/client";
import { isolated } from "../text/isolation";
import { Sentence } from "../text/Sentence";
import { peerOf, refusal } from "../text/wording";

export function ConversationStart({ channel, title }: { channel: Channel; title: string }) {
  const peer = useClientState((state) => peerOf(state, channel));
  return (
    <header className="beginning">
      {peer === null ? <ChannelAvatar kind={channel.kind} /> : <PersonAvatar id={peer} name={title} />}
      <h3>{title}</h3>
      <p className="muted">
        <Sentence text={channel.kind === "direct" ? `Only you and ${isolated(title)} can see these messages.` : `This is the start of ${isolated(title)}.`} />
      </p>
    </header>
  );
}

export function ListSkeleton() {
  const failure = useClientState((state) => state.loadFailure);
  if (failure !== null) {
    return (
      <p className="log-failure muted" role="status">
        {refusal({ reason: failure })} Trying again…
      </p>
    );
  }
  return (
    <div className="skeletons" aria-hidden="true">
      {["38%", "64%", "52%", "70%", "44%"].map((width) => (
        <div key={width} className="skeleton-message">
          <span className="skeleton skeleton-avatar" />
          <span className="skeleton-lines">
            <span className="skeleton" style={{ width: "18%" }} />
            <span className="skeleton" style={{ width }} />
          </span>
        </div>
      ))}
    </div>
  );
}
