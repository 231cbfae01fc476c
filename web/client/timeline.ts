/**
 * Owns a channel's loaded messages: a contiguous stretch of the log, folded. Pure; leaves loading to `history`, numbering to `sync`.
 *
 * Folding is idempotent and order-tolerant in one way that matters: events may be applied again to messages that already
 * contain their effect (history is read "as it stands now", which may be ahead of the live log), and the result still
 * converges to the log once the live events catch up, because each event sets its own field for good.
 */
import type { LogEvent, Message, Reaction } from "./frames";

export interface Timeline {
  /** Ascending by `seq`, without a message missing between the first and the last. */
  messages: readonly Message[];
  /** No older message exists (that the caller may read). */
  atStart: boolean;
  /** Joined to the live log: new messages belong at the end. */
  atEnd: boolean;
}

export const emptyTimeline: Timeline = { messages: [], atStart: false, atEnd: true };

/** The message that a `message.posted` event makes. */
export function posted(event: LogEvent & { kind: "message.posted" }): Message {
  const { message, text, thread, attachments, mentions } = event.data;
  return {
    id: message,
    channel: event.channel,
    seq: event.seq,
    sender: event.actor,
    text,
    at: event.at,
    edited_at: null,
    deleted: text === null,
    thread: thread ?? null,
    attachments: attachments ?? [],
    mentions: mentions ?? [],
    reactions: [],
    pinned: false,
  };
}

/** `timeline` after `event`. The same object when nothing in it changed. */
export function applyEvent(timeline: Timeline, event: LogEvent): Timeline {
  if (event.kind === "message.posted") {
    if (!timeline.atEnd) return timeline;
    return withMessages(timeline, merge(timeline.messages, [posted(event)]));
  }
  const change = messageChange(event);
  if (change === null) return timeline;
  const index = indexOfMessage(timeline.messages, change.message);
  const before = timeline.messages[index];
  if (before === undefined) return timeline;
  const after = change.apply(before);
  return after === before ? timeline : withMessages(timeline, timeline.messages.with(index, after));
}

/** `message` after `event`; the same object when the event is about something else. */
export function applyToMessage(message: Message, event: LogEvent): Message {
  const change = messageChange(event);
  return change?.message === message.id ? change.apply(message) : message;
}

interface Change {
  message: string;
  apply: (message: Message) => Message;
}

function messageChange(event: LogEvent): Change | null {
  switch (event.kind) {
    case "message.edited":
      return { message: event.data.message, apply: (m) => edited(m, event.data.text, event.at) };
    case "message.deleted":
      return { message: event.data.message, apply: deleted };
    case "reaction.added":
      return { message: event.data.message, apply: standing((m) => reacted(m, event.data.emoji, event.actor)) };
    case "reaction.removed":
      return { message: event.data.message, apply: (m) => unreacted(m, event.data.emoji, event.actor) };
    case "message.pinned":
      return { message: event.data.message, apply: standing((m) => (m.pinned ? m : { ...m, pinned: true })) };
    case "message.unpinned":
      return { message: event.data.message, apply: (m) => (m.pinned ? { ...m, pinned: false } : m) };
    default:
      return null;
  }
}

function edited(message: Message, text: string | null, at: string): Message {
  if (message.deleted) return message;
  return text === null ? deleted(message) : { ...message, text, edited_at: at };
}

function deleted(message: Message): Message {
  if (message.deleted && message.text === null && message.attachments.length === 0) return message;
  return { ...message, text: null, deleted: true, attachments: [], mentions: [], reactions: [], pinned: false };
}

/** A change of a message that stands; a deleted one keeps nothing but its place, also when its past is told again. */
function standing(apply: Change["apply"]): Change["apply"] {
  return (message) => (message.deleted ? message : apply(message));
}

function reacted(message: Message, emoji: string, user: string): Message {
  const found = message.reactions.find((r) => r.emoji === emoji);
  if (found === undefined) {
    return { ...message, reactions: [...message.reactions, { emoji, count: 1, users: [user] }] };
  }
  if (found.users.includes(user)) return message;
  return withReaction(message, { emoji, count: found.count + 1, users: [...found.users, user] });
}

function unreacted(message: Message, emoji: string, user: string): Message {
  const found = message.reactions.find((r) => r.emoji === emoji);
  // Only the first reactors are listed; an unlisted one still counts.
  if (found === undefined || !(found.users.includes(user) || found.count > found.users.length)) return message;
  return withReaction(message, { emoji, count: found.count - 1, users: found.users.filter((u) => u !== user) });
}

function withReaction(message: Message, reaction: Reaction): Message {
  const reactions = message.reactions.map((r) => (r.emoji === reaction.emoji ? reaction : r));
  return { ...message, reactions: reactions.filter((r) => r.count > 0) };
}

/** Both lists by `seq`. Where both have a message, the loaded one stays: it has seen every live event since. */
export function merge(loaded: readonly Message[], page: readonly Message[]): readonly Message[] {
  const known = new Set(loaded.map((m) => m.seq));
  const added = page.filter((m) => !known.has(m.seq));
  if (added.length === 0) return loaded;
  return [...loaded, ...added].sort((a, b) => a.seq - b.seq);
}

/** Keeps the newest `keep` messages. */
export function dropOldest(timeline: Timeline, keep: number): Timeline {
  if (timeline.messages.length <= keep) return timeline;
  return { ...timeline, messages: timeline.messages.slice(-keep), atStart: false };
}

/** Keeps the oldest `keep` messages; what was joined to the live log no longer is. */
export function dropNewest(timeline: Timeline, keep: number): Timeline {
  if (timeline.messages.length <= keep) return timeline;
  return { ...timeline, messages: timeline.messages.slice(0, keep), atEnd: false };
}

function withMessages(timeline: Timeline, messages: readonly Message[]): Timeline {
  return messages === timeline.messages ? timeline : { ...timeline, messages };
}

/** Newest first: what changes is nearly always recent. */
function indexOfMessage(messages: readonly Message[], id: string): number {
  return messages.findLastIndex((m) => m.id === id);
}
