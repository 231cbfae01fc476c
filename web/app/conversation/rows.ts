/** Turns messages into the rows of the list: days, the line above new messages, messages grouped by author. Pure. */
import type { Message, OutboxItem } from "../../client";
import { sameDay } from "../text/wording";

export type Row =
  | { type: "day"; key: string; at: string }
  | { type: "new"; key: string }
  | { type: "message"; key: string; message: Message; headed: boolean }
  | { type: "pending"; key: string; item: OutboxItem; headed: boolean };

/** Messages of one author that are closer than this share one header. */
const groupMs = 5 * 60_000;

interface Options {
  messages: readonly Message[];
  pending: readonly OutboxItem[];
  /** Messages of others after this number are new; null for no line. */
  newAfter: number | null;
  me: string;
}

export function rowsOf({ messages, pending, newAfter, me }: Options): readonly Row[] {
  const rows: Row[] = [];
  let previous: { sender: string; at: string } | null = null;
  let lined = newAfter === null;
  for (const message of messages) {
    if (previous === null || !sameDay(previous.at, message.at)) {
      rows.push({ type: "day", key: `day-${message.seq}`, at: message.at });
      previous = null;
    }
    if (!lined && newAfter !== null && message.seq > newAfter && message.sender !== me) {
      rows.push({ type: "new", key: "new" });
      lined = true;
      previous = null;
    }
    const headed = previous?.sender !== message.sender || Date.parse(message.at) - Date.parse(previous.at) > groupMs;
    rows.push({ type: "message", key: `m-${message.seq}`, message, headed });
    previous = { sender: message.sender, at: message.at };
  }
  for (const item of pending) {
    const at: string = new Date(item.writtenAt).toISOString();
    const headed = previous?.sender !== me || item.writtenAt - Date.parse(previous.at) > groupMs;
    rows.push({ type: "pending", key: `p-${item.key}`, item, headed });
    previous = { sender: me, at };
  }
  return rows;
}
