/**
 * The state of one channel: name, role, read positions, unread count, preview, and its timeline. Pure functions; `sync` checks
 * the order of events and `timeline` changes messages.
 */
import type { LogEvent } from "./frames";
import type { ChannelHead, ChannelSummary, Kind, Message, Role } from "./shapes";
import * as timeline from "./timeline";
import type { Timeline } from "./timeline";

/** Badges show less; further messages are not counted. */
const unreadCap = 1000;

/** What the client knows of a channel of the caller. */
export interface Channel {
  id: string;
  kind: Kind;
  /** Empty for a `direct` channel. */
  name: string | null;
  topic: string | null;
  role: Role;
  muted: boolean;
  slowModeSeconds: number;
  /** The other user of a direct channel; null where the server named none. */
  peer: string | null;
  /** The number of the last event applied. */
  seq: number;
  /** The caller's own read position. */
  readSeq: number;
  /** Unread messages at `countedSeq`, as the server counted them. */
  unreadBefore: number;
  countedSeq: number;
  /** Others' messages after `countedSeq` and after `readSeq`. */
  unreadSince: readonly number[];
  last: Message | null;
  /** Null until `ChannelView` has loaded it. */
  timeline: Timeline | null;
  /** Other members' read positions, as far as known. Large channels have none. */
  receipts: ReadonlyMap<string, number>;
  /** Large channels: how many others have read message `seq` of the caller. */
  seen: { seq: number; count: number } | null;
  /** How many members there are; null until known. */
  members: number | null;
}

export function fromHead(head: ChannelHead): Channel {
  return {
    id: head.id,
    kind: head.kind,
    name: head.name,
    topic: null,
    role: head.role,
    muted: false,
    slowModeSeconds: 0,
    peer: null,
    seq: head.seq,
    readSeq: head.read_seq,
    unreadBefore: 0,
    countedSeq: 0,
    unreadSince: [],
    last: null,
    timeline: null,
    receipts: new Map(),
    seen: null,
    members: null,
  };
}

/** How many messages of others the caller has not read; at most 1,000 of those that came live are counted. */
export function unread(channel: Channel): number {
  return channel.unreadBefore + channel.unreadSince.length;
}

/** Combines the server's unread count at `summary.seq` with the live messages after it, whichever arrived first. */
export function withSummary(channel: Channel, summary: ChannelSummary): Channel {
  const readSeq = Math.max(channel.readSeq, summary.read_seq);
  const current = channel.countedSeq > summary.seq;
  const behind = readSeq > summary.read_seq && readSeq >= summary.seq;
  return {
    ...channel,
    kind: summary.kind,
    name: summary.name,
    topic: summary.topic,
    role: summary.role,
    muted: summary.muted,
    slowModeSeconds: summary.slow_mode_seconds ?? channel.slowModeSeconds,
    peer: summary.peer?.user ?? channel.peer,
    members: summary.members ?? channel.members,
    readSeq,
    unreadBefore: current ? channel.unreadBefore : behind ? 0 : summary.unread,
    countedSeq: current ? channel.countedSeq : summary.seq,
    unreadSince: channel.unreadSince.filter((seq) => seq > summary.seq && seq > readSeq),
    last: newer(channel.last, summary.last_message),
  };
}

/** `channel` after the event that follows `channel.seq`. `me` is the caller's user id. */
export function applyEvent(channel: Channel, event: LogEvent, me: string): Channel {
  const next = { ...channel, seq: event.seq };
  if (channel.timeline !== null) next.timeline = timeline.applyEvent(channel.timeline, event);
  if (channel.last !== null) next.last = timeline.applyToMessage(channel.last, event);
  switch (event.kind) {
    case "message.posted":
      return withPosted(next, event, me);
    case "channel.created":
    case "channel.updated":
      return withFields(next, event.data);
    case "member.joined":
      return resized(next, 1);
    case "member.left":
    case "member.removed":
      return resized(next, -1);
    case "member.role_changed":
      return event.data.user === me ? { ...next, role: event.data.role } : next;
    default:
      return next;
  }
}

/** The caller read up to `seq`, here or on another device. Never moves back. */
export function withRead(channel: Channel, seq: number): Channel {
  if (seq <= channel.readSeq) return channel;
  // The counted range may end with events that are not messages.
  const all = seq >= channel.countedSeq || (channel.last !== null && seq >= channel.last.seq);
  return {
    ...channel,
    readSeq: seq,
    unreadBefore: all ? 0 : channel.unreadBefore,
    unreadSince: channel.unreadSince.filter((s) => s > seq),
  };
}

export function withReceipt(channel: Channel, user: string, seq: number): Channel {
  if ((channel.receipts.get(user) ?? 0) >= seq) return channel;
  return { ...channel, receipts: new Map(channel.receipts).set(user, seq) };
}

function resized(channel: Channel, by: number): Channel {
  return channel.members === null ? channel : { ...channel, members: channel.members + by };
}

/** The server cannot send the events up to `seq`: drops the loaded messages, the preview and the unread count. */
export function afterReset(channel: Channel, seq: number): Channel {
  return { ...channel, seq, countedSeq: 0, unreadSince: [], last: null, timeline: null };
}

/** The store has lost entries: what is known of the log and of read positions is void, the settings are not. */
function afterLoss(channel: Channel, head: ChannelHead): Channel {
  const { topic, muted, slowModeSeconds, peer } = channel;
  return { ...fromHead(head), topic, muted, slowModeSeconds, peer };
}

/** A channel at the position of `hello`, with the settings that are known of it. */
export function begun(known: Channel | undefined, head: ChannelHead): Channel {
  return known === undefined ? fromHead(head) : afterLoss(known, head);
}

function withPosted(channel: Channel, event: LogEvent & { kind: "message.posted" }, me: string): Channel {
  const last = newer(channel.last, timeline.messageFrom(event));
  if (event.actor === me) return { ...withRead(channel, event.seq), last };
  const counted = event.seq <= channel.countedSeq || event.seq <= channel.readSeq || channel.unreadSince.length >= unreadCap;
  return { ...channel, last, unreadSince: counted ? channel.unreadSince : [...channel.unreadSince, event.seq] };
}

function withFields(
  channel: Channel,
  data: { name?: string | null; topic?: string | null; slow_mode_seconds?: number | null },
): Channel {
  return {
    ...channel,
    name: data.name === undefined ? channel.name : data.name,
    topic: data.topic === undefined ? channel.topic : data.topic,
    slowModeSeconds: data.slow_mode_seconds ?? channel.slowModeSeconds,
  };
}

function newer(a: Message | null, b: Message | null): Message | null {
  if (a === null || b === null) return a ?? b;
  return a.seq >= b.seq ? a : b;
}
