/** One conversation in the list. */
import { memo } from "react";

import { unread } from "../../client";
import type { Channel } from "../../client";
import { ChannelAvatar, PersonAvatar } from "../ui/Avatar";
import { useClientState } from "../state/client";
import { goTo } from "../browser/route";
import { PersonName } from "../ui/PersonName";
import { Sentence } from "../text/Sentence";
import { channelTitle, peerOf, previewText, shortTime } from "../text/wording";

interface Props {
  channel: Channel;
  selected: boolean;
  tabbable: boolean;
}

export const ChannelItem = memo(function ChannelItem({ channel, selected, tabbable }: Props) {
  const title = useClientState((state) => channelTitle(state, channel));
  const preview = useClientState((state) => previewText(state, channel));
  const peer = useClientState((state) => peerOf(state, channel));
  const status = useClientState((state) => (peer === null ? undefined : state.presence.get(peer)?.status));
  const typing = useClientState((state) => (state.typing.get(channel.id)?.length ?? 0) > 0);
  const count = unread(channel);

  return (
    <li>
      <button
        type="button"
        className="channel-item"
        data-testid="channel-item"
        data-channel={channel.id}
        data-kind={channel.kind}
        data-unread={count}
        aria-current={selected ? "page" : undefined}
        tabIndex={tabbable ? 0 : -1}
        onClick={() => goTo(channel.id)}
      >
        {peer === null ? <ChannelAvatar kind={channel.kind} /> : <PersonAvatar id={peer} name={title} status={status ?? "offline"} />}
        <span className="channel-text">
          <span className="channel-line">
            <span className="channel-title">{peer === null ? <bdi>{title}</bdi> : <PersonName user={peer} />}</span>
            {channel.last !== null && <time dateTime={channel.last.at}>{shortTime(channel.last.at)}</time>}
          </span>
          <span className="channel-line">
            <span className="channel-preview">{typing ? <em>typing…</em> : <Sentence text={preview} />}</span>
            {count > 0 && (
              <span className={channel.muted ? "badge badge-muted" : "badge"} data-testid="unread">
                {count > 99 ? "99+" : count}
                <span className="hidden"> unread</span>
              </span>
            )}
          </span>
        </span>
      </button>
    </li>
  );
});
