/** A thread: its first message, the replies, and a composer. */
import { useEffect, useMemo, useRef, useState } from "react";

import type { Channel, Message } from "../../client";
import { Composer } from "../composer/Composer";
import { useClientState } from "../state/client";
import { MessageRow } from "../message/MessageRow";
import { Panel } from "../ui/Panel";
import { PendingRow } from "../message/PendingRow";
import { rowsOf } from "./rows";
import { useMessages } from "./useMessages";
import { dayName, refusal } from "../text/wording";

const none: readonly Message[] = [];

export function ThreadPanel({ channel, root, title, onClose }: { channel: Channel; root: string; title: string; onClose: () => void }) {
  const me = useClientState((state) => state.me?.user ?? "");
  const outbox = useClientState((state) => state.outbox);
  const { messages, problem } = useMessages(channel, root);
  const [editing, setEditing] = useState<string | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const shown = messages ?? none;
  const rows = useMemo(() => {
    const pending = outbox.filter((item) => item.channel === channel.id && item.thread === root);
    return rowsOf({ messages: shown, pending, newAfter: null, me });
  }, [shown, outbox, channel.id, root, me]);

  useEffect(() => {
    box.current?.scrollTo({ top: box.current.scrollHeight });
  }, [rows.length]);

  const replies = shown.filter((message) => message.id !== root).length;
  const editLast = () => setEditing(shown.findLast((m) => m.sender === me && !m.deleted && m.sealed === undefined)?.id ?? null);
  return (
    <Panel title="Thread" note={replies === 0 ? "" : `${replies} ${replies === 1 ? "reply" : "replies"}`} testid="thread" onClose={onClose}>
      <div className="thread-log" ref={box} role="log" aria-label="Thread" aria-live="polite">
        {problem !== null && (
          <p className="form-error panel-note" role="alert">
            {refusal(problem)}
          </p>
        )}
        {rows.map((row) => (
          <div key={row.key} className="log-row">
            {row.type === "day" && (
              <p className="log-day">
                <span>{dayName(row.at)}</span>
              </p>
            )}
            {row.type === "message" && <MessageRow message={row.message} headed={row.headed} editing={editing === row.message.id} tabbable={false} onEdit={setEditing} inThread />}
            {row.type === "pending" && <PendingRow item={row.item} headed={row.headed} />}
          </div>
        ))}
      </div>
      <Composer channel={channel} title={title} thread={root} onSent={() => undefined} onEditLast={editLast} />
    </Panel>
  );
}
