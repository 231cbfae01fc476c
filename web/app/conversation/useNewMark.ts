/** The position of the line above new messages. It appears with an unseen message and stays until the conversation is left. */
import { useState } from "react";

import type { Message } from "../../client";

interface Options {
  messages: readonly Message[] | null;
  me: string;
  readSeq: number;
  /** The newest message is on screen and the page is visible. */
  attentive: boolean;
  /** The number of messages that the caller sent here; sending removes the line. */
  sent: number;
}

interface Mark {
  /** The last message when the mark was computed; null before the first load. */
  last: number | null;
  after: number | null;
  sent: number;
}

/** The number after which messages are new; null for no line. State is adjusted during render, as React allows. */
export function useNewMark({ messages, me, readSeq, attentive, sent }: Options): number | null {
  const [mark, setMark] = useState<Mark>({ last: null, after: null, sent });
  const last = messages === null ? null : (messages.at(-1)?.seq ?? 0);
  if (last === mark.last && sent === mark.sent) return mark.after;

  let after = sent === mark.sent ? mark.after : null;
  if (messages !== null && last !== null) {
    const from = mark.last ?? readSeq;
    const unseen = messages.some((m) => m.seq > from && m.sender !== me);
    if (unseen && after === null && (mark.last === null || !attentive)) after = from;
  }
  setMark({ last, after, sent });
  return after;
}
