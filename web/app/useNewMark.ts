/** Owns where the line before the new messages stands: it appears when something comes unseen, and stays until it was seen and left. */
import { useState } from "react";

import type { Message } from "../client";

interface Options {
  messages: readonly Message[] | null;
  me: string;
  readSeq: number;
  /** The newest message is on screen and the page is looked at. */
  attentive: boolean;
  /** Messages sent by the caller here; sending removes the line. */
  sent: number;
}

interface Mark {
  /** The last message when this was worked out; null before the first load. */
  last: number | null;
  after: number | null;
  sent: number;
}

/** The number after which messages are new, or null for no line. Follows its inputs during render, as React allows. */
export function useNewMark({ messages, me, readSeq, attentive, sent }: Options): number | null {
  const [mark, setMark] = useState<Mark>({ last: null, after: null, sent });
  const last = messages === null ? null : (messages.at(-1)?.seq ?? 0);
  if (last === mark.last && sent === mark.sent) return mark.after;

  let after = sent === mark.sent ? mark.after : null;
  if (messages !== null && last !== null) {
    const from = mark.last ?? readSeq;
    const news = messages.some((m) => m.seq > from && m.sender !== me);
    if (news && after === null && (mark.last === null || !attentive)) after = from;
  }
  setMark({ last, after, sent });
  return after;
}
