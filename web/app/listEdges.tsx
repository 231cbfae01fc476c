/** Owns what stands before the first message: the beginning of the conversation, or its outline while it loads. */
import type { Channel } from "../client";
import { ChannelAvatar, PersonAvatar } from "./Avatar";
import { useClientState } from "./hooks";
import { peerOf, refusal } from "./wording";

export function Beginning({ channel, title }: { channel: Channel; title: string }) {
  const peer = useClientState((state) => peerOf(state, channel));
  return (
    <header className="beginning">
      {peer === null ? <ChannelAvatar kind={channel.kind} /> : <PersonAvatar id={peer} name={title} />}
      <h3>{title}</h3>
      <p className="muted">
        {channel.kind === "direct" ? `Only you and ${title} can see what is written here.` : `This is where ${title} begins.`}
      </p>
    </header>
  );
}

export function ListSkeleton() {
  const failure = useClientState((state) => state.loadFailure);
  if (failure !== null) {
    return (
      <p className="log-failure muted" role="status">
        {refusal(failure)} Trying again…
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
