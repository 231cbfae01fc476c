/** Owns one open channel: head, list, typing line, composer, members. Leaves scrolling to `MessageList`. */
import { useCallback, useState } from "react";

import type { Channel } from "../client";
import { PersonAvatar, ChannelAvatar } from "./Avatar";
import { Composer } from "./Composer";
import { useClientState } from "./hooks";
import { BackIcon, PeopleIcon } from "./icons";
import { MembersPanel } from "./MembersPanel";
import { MessageList } from "./MessageList";
import { goTo } from "./route";
import { TypingLine } from "./TypingLine";
import { channelTitle, peerOf, shortTime } from "./wording";

export function Conversation({ channel }: { channel: Channel }) {
  const title = useClientState((state) => channelTitle(state, channel));
  const me = useClientState((state) => state.me?.user);
  const [editing, setEditing] = useState<string | null>(null);
  const [showMembers, setShowMembers] = useState(false);
  /** Grows with each message sent: the list then goes to its end. */
  const [sent, setSent] = useState(0);
  const onSent = useCallback(() => setSent((n) => n + 1), []);

  const messages = channel.timeline?.messages ?? [];
  const editLast = () => setEditing(messages.findLast((m) => m.sender === me && !m.deleted)?.id ?? null);

  return (
    <div className="conversation-frame" data-members={showMembers}>
      <section className="conversation" aria-label={title}>
        <header className="conversation-head">
          <button type="button" className="icon-button back" data-testid="back" onClick={() => goTo(null)} aria-label="Back to conversations">
            <BackIcon />
          </button>
          <Heading channel={channel} title={title} />
          <button
            type="button"
            className="icon-button"
            data-testid="members-toggle"
            aria-label="Members"
            title="Members"
            aria-expanded={showMembers}
            onClick={() => setShowMembers(!showMembers)}
          >
            <PeopleIcon />
          </button>
        </header>
        <MessageList channel={channel} title={title} editing={editing} onEdit={setEditing} sent={sent} />
        <Composer channel={channel} title={title} onSent={onSent} onEditLast={editLast} />
        <TypingLine channel={channel.id} />
      </section>
      {showMembers && <MembersPanel channel={channel} onClose={() => setShowMembers(false)} />}
    </div>
  );
}

function Heading({ channel, title }: { channel: Channel; title: string }) {
  const peer = useClientState((state) => peerOf(state, channel));
  const presence = useClientState((state) => (peer === null ? undefined : state.presence.get(peer)));
  const count = useClientState((state) => state.members.get(channel.id)?.length);
  const people = count === undefined ? "" : `${count} ${count === 1 ? "member" : "members"}`;
  const note = channel.kind === "direct" ? presenceWords(presence?.status, presence?.lastSeen) : [channel.topic, people].filter(Boolean).join(" · ");
  return (
    <div className="heading">
      {peer === null ? <ChannelAvatar kind={channel.kind} /> : <PersonAvatar id={peer} name={title} status={presence?.status ?? "offline"} />}
      <div className="heading-text">
        <h2 data-testid="conversation-title">{title}</h2>
        <p className="muted">{note === "" ? "\u00a0" : note}</p>
      </div>
    </div>
  );
}

function presenceWords(status: string | undefined, lastSeen: string | null | undefined): string {
  switch (status) {
    case "online":
      return "Online";
    case "away":
      return "Away";
    case "dnd":
      return "Do not disturb";
    default:
      return lastSeen === null || lastSeen === undefined ? "Offline" : `Last seen ${shortTime(lastSeen)}`;
  }
}
