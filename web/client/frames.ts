/**
 * Owns the shapes that cross the wire, as `docs/protocol.md` names them; leaves their meaning to `sync`, `timeline` and `channel`.
 *
 * Frames are trusted to have the shape of their `type` (the server is ours); unknown types and kinds are kept, never thrown on.
 */

export type Role = "owner" | "moderator" | "member" | "reader";
export type Kind = "direct" | "group" | "public" | "broadcast" | "qa";
export type Status = "online" | "away" | "dnd" | "offline";
/** What one can say of oneself. */
export type ChosenStatus = Exclude<Status, "offline">;

export interface Attachment {
  id: string;
  name: string;
  size: number;
  type: string;
  width?: number | null;
  height?: number | null;
}

export interface Reaction {
  emoji: string;
  count: number;
  users: readonly string[];
}

/** A message as it stands now. `seq` is the number of the event that posted it and never changes. */
export interface Message {
  id: string;
  channel: string;
  seq: number;
  sender: string;
  /** Null once deleted. */
  text: string | null;
  /** RFC 3339, UTC. */
  at: string;
  edited_at: string | null;
  deleted: boolean;
  thread: string | null;
  attachments: readonly Attachment[];
  mentions: readonly string[];
  reactions: readonly Reaction[];
  pinned: boolean;
}

/** What `hello` and `joined` say about a channel. */
export interface ChannelHead {
  id: string;
  kind: Kind;
  name: string | null;
  role: Role;
  seq: number;
  read_seq: number;
}

/** What `GET /v1/channels` says about a channel. */
export interface ChannelSummary extends ChannelHead {
  topic: string | null;
  unread: number;
  muted: boolean;
  last_message: Message | null;
  slow_mode_seconds?: number;
  /** The other person of a direct channel. Additional to the protocol: absent where the server does not say. */
  peer?: { user: string; name: string | null } | null;
}

export interface Member {
  user: string;
  name: string | null;
  role: Role;
}

export interface Limits {
  frame_bytes: number;
  text_bytes: number;
  sync_events: number;
  sends_per_second: number;
  burst: number;
  connections: number;
}

interface EventData {
  "message.posted": {
    message: string;
    key?: string;
    text: string | null;
    thread?: string | null;
    attachments?: readonly Attachment[];
    mentions?: readonly string[];
  };
  "message.edited": { message: string; text: string | null };
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

export type EventKind = keyof EventData;

interface EventOf<K extends EventKind> {
  type: "event";
  channel: string;
  seq: number;
  kind: K;
  actor: string;
  at: string;
  data: EventData[K];
}

/** One entry of a channel's log. The server may send kinds that are not listed: see `isKnown`. */
export type LogEvent = { [K in EventKind]: EventOf<K> }[EventKind];

export interface Hello {
  type: "hello";
  connection: string;
  user: string;
  tenant: string;
  heartbeat_seconds: number;
  limits: Limits;
  channels: readonly ChannelHead[];
}

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
  /** Seconds. Present only where waiting helps. */
  retry_after?: number;
}

/** The socket now lives until then (RFC 3339, UTC). */
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
  | Receipt
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
  text: string;
  thread?: string;
  attachments?: readonly string[];
  mentions?: readonly string[];
}

/** The frames that are answered by `ack` or `error` carrying their `ref`. */
export type Command =
  | { type: "edit"; channel: string; message: string; text: string }
  | { type: "delete"; channel: string; message: string }
  | { type: "react"; channel: string; message: string; emoji: string; remove?: boolean }
  | { type: "pin"; channel: string; message: string; remove?: boolean };

/** What shows an open socket who is still there. */
export type Proof = { token: string } | { ticket: string };

export type ClientFrame =
  | SendFrame
  | (Command & { ref: string })
  | (Proof & { type: "token"; ref: string })
  | { type: "sync"; ref?: string; positions: Readonly<Record<string, number>> }
  | { type: "read"; channel: string; seq: number }
  | { type: "typing"; channel: string }
  | { type: "watch"; users: readonly string[] }
  | { type: "status"; status: ChosenStatus }
  | { type: "ping"; ref?: string };

/** Parses one text frame. Returns null for what is no object with a `type`: a client ignores what it cannot read. */
export function parseFrame(text: string): ServerFrame | null {
  try {
    const value: unknown = JSON.parse(text);
    const typed = typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
    return typed ? (value as ServerFrame) : null;
  } catch {
    return null;
  }
}
