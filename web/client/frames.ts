/**
 * The frames of the socket, as `docs/protocol.md` names them.
 *
 * Frames are not validated beyond their `type`, because they come from our own server. Frames of unknown types and events of
 * unknown kinds are ignored, so that an older client works with a newer server.
 */
import type { Attachment, Block, ChannelHead, ChosenStatus, Invitation, Role, Status } from "./shapes";

/** The server's limits (`docs/protocol.md`, "Limits"). */
export interface Limits {
  /** Bytes of a frame. */
  frame_bytes: number;
  /** Bytes of a message's text in UTF-8. */
  text_bytes: number;
  /** Missing entries of a channel that a reconnect delivers; with more, the channel is reset. */
  sync_events: number;
  /** Frames per second of one socket, on average. */
  sends_per_second: number;
  /** Frames at once. */
  burst: number;
  /** Sockets of a user at one gateway. */
  connections: number;
  /** Members above which a channel has counts instead of receipts and typing. */
  named_members: number;
}

interface EventData {
  "message.posted": {
    message: string;
    key?: string;
    text: string | null;
    sealed?: string;
    thread?: string | null;
    attachments?: readonly Attachment[];
    mentions?: readonly string[];
    blocks?: readonly Block[];
  };
  "message.edited": { message: string; text: string | null; sealed?: string; blocks?: readonly Block[] };
  "message.deleted": { message: string };
  "reaction.added": { message: string; emoji: string };
  "reaction.removed": { message: string; emoji: string };
  "message.pinned": { message: string };
  "message.unpinned": { message: string };
  "member.joined": { user: string; role: Role };
  "member.left": { user: string; role?: Role };
  "member.removed": { user: string; role?: Role };
  "member.role_changed": { user: string; role: Role };
  "channel.created": ChannelFields;
  "channel.updated": ChannelFields;
}

interface ChannelFields {
  name?: string | null;
  topic?: string | null;
  slow_mode_seconds?: number | null;
}

interface EventOf<K extends keyof EventData> {
  type: "event";
  channel: string;
  seq: number;
  kind: K;
  actor: string;
  at: string;
  data: EventData[K];
}

/** One entry of a channel's log. The server may send kinds that are not listed here. */
export type LogEvent = { [K in keyof EventData]: EventOf<K> }[keyof EventData];

/** The first frame of a connection. */
export interface Hello {
  type: "hello";
  connection: string;
  user: string;
  tenant: string;
  /** The longest silence that the server allows is twice this. */
  heartbeat_seconds: number;
  limits: Limits;
  /** All of the caller's channels, or with `more` the unread and the most recently active ones. */
  channels: readonly ChannelHead[];
  more?: boolean;
  /** The store's epoch. Positions of another one are void. */
  epoch?: string;
}

/** A command is stored, as entry `seq` of the channel's log. */
export interface Ack {
  type: "ack";
  ref?: string;
  channel: string;
  seq: number;
  message: string;
  at: string;
  duplicate?: boolean;
}

export interface ErrorFrame {
  type: "error";
  ref?: string;
  reason: string;
  detail?: string;
  /** Seconds. Present only where a later retry can succeed. */
  retry_after?: number;
}

/** The socket's credentials were renewed. They expire at `expires_at` (RFC 3339, UTC). */
export interface Renewed {
  type: "token";
  ref?: string;
  expires_at: string;
}

export type SyncVerdict =
  | { status: "complete"; seq: number }
  | { status: "reset"; seq: number }
  | { status: "gone" };

export interface Synced {
  type: "synced";
  ref?: string;
  channels: Readonly<Record<string, SyncVerdict>>;
}

export interface Receipt {
  type: "receipt";
  channel: string;
  user: string;
  read_seq: number;
}

/** How many others have read the caller's message `seq`, the newest of a large channel. */
export interface Seen {
  type: "seen";
  channel: string;
  seq: number;
  count: number;
}

export interface PresenceFrame {
  type: "presence";
  user: string;
  status: Status;
  last_seen?: string | null;
}

export type ServerFrame =
  | Hello
  | LogEvent
  | Ack
  | ErrorFrame
  | Synced
  | { type: "joined"; channel: ChannelHead }
  | { type: "left"; channel: string }
  | { type: "invited"; invitation: Invitation }
  | Receipt
  | Seen
  | { type: "members"; channel: string; count: number }
  | { type: "typing"; channel: string; user: string }
  | PresenceFrame
  | Renewed
  | { type: "reconnect"; after_ms: number }
  | { type: "pong"; ref?: string };

export interface SendFrame {
  type: "send";
  ref: string;
  channel: string;
  key: string;
  text?: string;
  sealed?: string;
  thread?: string;
  attachments?: readonly string[];
  mentions?: readonly string[];
}

/** Frames that the server answers with an `ack` or an `error` that repeats their `ref`. */
export type Command =
  | { type: "edit"; channel: string; message: string; text: string }
  | { type: "edit"; channel: string; message: string; sealed: string }
  | { type: "delete"; channel: string; message: string }
  | { type: "react"; channel: string; message: string; emoji: string; remove?: boolean }
  | { type: "pin"; channel: string; message: string; remove?: boolean };

/** Credentials that extend the life of an open socket. */
export type Proof = { token: string } | { ticket: string };

export type ClientFrame =
  | SendFrame
  | (Command & { ref: string })
  | (Proof & { type: "token"; ref: string })
  | { type: "sync"; ref?: string; epoch?: string; positions: Readonly<Record<string, number>> }
  | { type: "read"; channel: string; seq: number }
  | { type: "typing"; channel: string }
  | { type: "watch"; users: readonly string[] }
  | { type: "status"; status: ChosenStatus }
  | { type: "ping"; ref?: string };

/** Parses one text frame. Returns null unless it is an object with a `type`. */
export function parseFrame(text: string): ServerFrame | null {
  try {
    const value: unknown = JSON.parse(text);
    const typed = typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
    return typed ? (value as ServerFrame) : null;
  } catch {
    return null;
  }
}
