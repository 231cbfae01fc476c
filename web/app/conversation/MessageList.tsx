/** The messages on screen: rows, loading at both ends, read position, keyboard. `useScroll` keeps the scroll position. */
import { useCallback, useEffect, useMemo } from "react";
import type { KeyboardEvent } from "react";

import type { Channel, Message } from "../../client";
import { Announcer } from "./Announcer";
import { useClient, useClientState } from "../state/client";
import { DownIcon } from "../ui/icons";
import { ConversationStart, ListSkeleton } from "./listEdges";
import { RowView } from "./RowView";
import { rowsOf } from "./rows";
import { SeenLine } from "./SeenLine";
import { useNewMark } from "./useNewMark";
import { useScroll } from "./useScroll";
import { useVisible } from "../browser/useVisible";

const none: readonly Message[] = [];

interface Props {
  channel: Channel;
  title: string;
  editing: string | null;
  onEdit: (message: string | null) => void;
  sent: number;
  /** The number of the message to scroll to. */
  target: number | null;
  onTarget: (seq: number | null) => void;
}

export function MessageList({ channel, title, editing, onEdit, sent, target, onTarget }: Props) {
  const client = useClient();
  const me = useClientState((state) => state.me?.user ?? "");
  const outbox = useClientState((state) => state.outbox);
  const visible = useVisible();
  const { timeline, id, readSeq } = channel;
  const messages = timeline?.messages ?? none;
  const atEnd = timeline?.atEnd ?? true;
  const last = messages.at(-1);

  const pending = useMemo(() => outbox.filter((item) => item.channel === id), [outbox, id]);
  const onFollow = useCallback((following: boolean) => client.view.follow(following), [client]);
  const onNearStart = useCallback(() => void client.view.older(), [client]);
  const onNearEnd = useCallback(() => void client.view.newer(), [client]);
  const unseenAfter = useNewMark({ messages: timeline?.messages ?? null, me, readSeq, attentive: visible && last !== undefined && readSeq >= last.seq, sent });
  const rows = useMemo(() => rowsOf({ messages, pending: atEnd ? pending : [], newAfter: unseenAfter, me }), [messages, pending, atEnd, unseenAfter, me]);
  const { byId, replies } = useMemo(() => threadsOf(messages), [messages]);
  const { box, content, following, toEnd, toRow } = useScroll({ rows, atEnd, onNearStart, onNearEnd, onFollow });

  const jump = useCallback(() => {
    void client.view.latest().then(toEnd);
  }, [client, toEnd]);
  useEffect(() => {
    if (sent > 0) jump();
  }, [sent, jump]);
  useEffect(() => {
    if (following && visible && atEnd && last !== undefined) client.read(id, last.seq);
  }, [client, id, following, visible, atEnd, last]);

  const ready = timeline !== null;
  useEffect(() => {
    if (target === null || !ready) return;
    // A message that is loaded but not rendered yet is found when `rows` changes.
    void client.view.goTo(target).then((there) => {
      if (!there || toRow(`m-${target}`)) onTarget(null);
    });
  }, [client, target, ready, rows, toRow, onTarget]);

  return (
    <div className="log-frame">
      <div className="log" ref={box} role="log" aria-label={`Messages with ${title}`} aria-live="off" tabIndex={-1} data-testid="log" onKeyDown={moveFocus}>
        <div className="log-content" ref={content}>
          {timeline === null ? <ListSkeleton /> : timeline.atStart ? <ConversationStart channel={channel} title={title} /> : <div className="log-more" />}
          {rows.map((row) => (
            <div key={row.key} data-row={row.key} className="log-row">
              <RowView row={row} byId={byId} replies={replies} editing={row.type === "message" && editing === row.message.id} tabbable={row.type === "message" && row.message === last} onEdit={onEdit} />
            </div>
          ))}
          <SeenLine channel={channel} last={pending.length === 0 ? last : undefined} />
        </div>
      </div>
      {!following && <JumpButton count={messages.filter((m) => m.seq > readSeq && m.sender !== me).length} onClick={jump} />}
      <Announcer last={last} />
    </div>
  );
}

function JumpButton({ count, onClick }: { count: number; onClick: () => void }) {
  return (
    <button type="button" className="jump" data-testid="jump" onClick={onClick}>
      <DownIcon />
      {count > 0 ? `${count} new ${count === 1 ? "message" : "messages"}` : "Latest"}
    </button>
  );
}

function threadsOf(messages: readonly Message[]) {
  const replies = new Map<string, number>();
  for (const { thread, deleted } of messages) if (thread !== null && !deleted) replies.set(thread, (replies.get(thread) ?? 0) + 1);
  return { byId: new Map(messages.map((message) => [message.id, message])), replies };
}

/** Arrow keys move between messages, Enter moves to the actions of one, Escape to the composer. */
function moveFocus(event: KeyboardEvent<HTMLElement>): void {
  const target = event.target;
  if (!(target instanceof HTMLElement)) return;
  if (event.key === "Escape") {
    document.querySelector<HTMLElement>('[data-testid="composer"]')?.focus();
    return;
  }
  if (target.dataset["testid"] !== "message") return;
  if (event.key === "Enter") {
    target.querySelector<HTMLElement>(".message-actions button")?.focus();
  } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
    const all = [...event.currentTarget.querySelectorAll<HTMLElement>('[data-testid="message"]')];
    all[all.indexOf(target) + (event.key === "ArrowUp" ? -1 : 1)]?.focus();
  } else return;
  event.preventDefault();
}
