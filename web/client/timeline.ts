/**
 * A channel's loaded messages: one contiguous range of the log with every later change applied. Pure functions; `history` loads.
 *
 * An event may be applied again to a message that already contains its effect, because pages of history may be ahead of the
 * live log. The result still converges: every event sets its own field, and the last event on a field wins.
 */
import type { LogEvent } from "./frames";
import type { Block, Message, Reaction } from "./shapes";

/** The loaded messages of a channel. */
export interface Timeline {
  /** Ascending by `seq`; no message between the first and the last is missing. */
  messages: readonly Message[];
  /** The caller may read no older message. */
  atStart: boolean;
  /** No newer message is missing: live messages are appended. */
  atEnd: boolean;
}

export const emptyTimeline: Timeline = { messages: [], atStart: false, atEnd: true };

/** The message that a `message.posted` event creates. */
export function messageFrom(event: LogEvent & { kind: "message.posted" }): Message {
  const { message, text, sealed, blocks, thread, attachments, mentions } = event.data;
  return {
    id: message,
    channel: event.channel,
    seq: event.seq,
    sender: event.actor,
    text,
    ...(sealed !== undefined && { sealed }),
    ...(blocks && { blocks }),
    at: event.at,
    edited_at: null,
    deleted: text === null && sealed === undefined,
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
    return withMessages(timeline, merge(timeline.messages, [messageFrom(event)]));
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
      return { message: event.data.message, apply: (m) => edited(m, event.data, event.at) };
    case "message.deleted":
      return { message: event.data.message, apply: deleted };
    case "reaction.added":
      return { message: event.data.message, apply: unlessDeleted((m) => reacted(m, event.data.emoji, event.actor)) };
    case "reaction.removed":
      return { message: event.data.message, apply: (m) => unreacted(m, event.data.emoji, event.actor) };
    case "message.pinned":
      return { message: event.data.message, apply: unlessDeleted((m) => (m.pinned ? m : { ...m, pinned: true })) };
    case "message.unpinned":
      return { message: event.data.message, apply: (m) => (m.pinned ? { ...m, pinned: false } : m) };
    default:
      return null;
  }
}

function edited(message: Message, content: { text: string | null; sealed?: string; blocks?: readonly Block[] }, at: string): Message {
  if (message.deleted) return message;
  const { text, sealed, blocks } = content;
  if (sealed !== undefined) return { ...bare(message), text: null, sealed, edited_at: at };
  return text === null ? deleted(message) : { ...bare(message), text, ...(blocks && { blocks }), edited_at: at };
}

/** Without sealed content and blocks. */
function bare(message: Message): Message {
  const rest = { ...message };
  delete rest.sealed;
  delete rest.blocks;
  return rest;
}

function deleted(message: Message): Message {
  if (message.deleted && message.text === null && message.attachments.length === 0) return message;
  return { ...bare(message), text: null, deleted: true, attachments: [], mentions: [], reactions: [], pinned: false };
}

/** A deleted message stays empty, even when older events are applied to it again. */
function unlessDeleted(apply: Change["apply"]): Change["apply"] {
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
  // `users` lists only the first reactors; an unlisted one still counts.
  if (found === undefined || !(found.users.includes(user) || found.count > found.users.length)) return message;
  return withReaction(message, { emoji, count: found.count - 1, users: found.users.filter((u) => u !== user) });
}

function withReaction(message: Message, reaction: Reaction): Message {
  const reactions = message.reactions.map((r) => (r.emoji === reaction.emoji ? reaction : r));
  return { ...message, reactions: reactions.filter((r) => r.count > 0) };
}

/** Joins both lists by `seq`. A message in both keeps its loaded state, which contains every live event since. */
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

/** Keeps the oldest `keep` messages; live messages are then no longer appended. */
export function dropNewest(timeline: Timeline, keep: number): Timeline {
  if (timeline.messages.length <= keep) return timeline;
  return { ...timeline, messages: timeline.messages.slice(0, keep), atEnd: false };
}

function withMessages(timeline: Timeline, messages: readonly Message[]): Timeline {
  return messages === timeline.messages ? timeline : { ...timeline, messages };
}

/** Searches from the newest: most changes concern recent messages. */
function indexOfMessage(messages: readonly Message[], id: string): number {
  return messages.findLastIndex((m) => m.id === id);
}
