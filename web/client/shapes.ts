/** The shapes that HTTP answers and socket frames share, as `docs/protocol.md` names them. */

/** A member's role, highest first. */
export type Role = "owner" | "moderator" | "member" | "reader";
/** The kind of a channel. */
export type Kind = "direct" | "group" | "public" | "broadcast" | "qa";
/** A user's presence. */
export type Status = "online" | "away" | "dnd" | "offline";
/** The statuses that users can set for themselves. */
export type ChosenStatus = Exclude<Status, "offline">;

/** A user. */
export interface Person {
  user: string;
  name: string | null;
}

/** The caller. */
export interface Me extends Person {
  tenant: string;
  roles: readonly string[];
}

/** A member of a channel. */
export interface Member extends Person {
  role: Role;
}

/** A page of a channel's members, by role and name. */
export interface MemberPage extends Page<Member> {
  /** How many members the channel has. */
  total: number;
}

/** A file of a message. */
export interface Attachment {
  id: string;
  name: string;
  /** Bytes, of the original. */
  size: number;
  /** The media type. */
  type: string;
  /** Pixels, of images. */
  width?: number | null;
  height?: number | null;
}

/** A button, or an option of a select. */
export interface Choice {
  value: string;
  text: string;
}

/** A part of a bot's message, shown in place of its text. The server may send types that are not listed here: then show the text. */
export type Block =
  | { type: "text"; text: string }
  | { type: "image"; upload: string; alt: string }
  | { type: "buttons"; id: string; buttons: readonly Choice[] }
  | { type: "select"; id: string; label: string; options: readonly Choice[] };

/** The users who reacted with one emoji. */
export interface Reaction {
  emoji: string;
  count: number;
  /** The first users who reacted; `count` may be larger. */
  users: readonly string[];
}

/** The current state of a message. `seq` is the number of the event that posted it and never changes. */
export interface Message {
  id: string;
  channel: string;
  seq: number;
  sender: string;
  /** Null once deleted, and when the content is sealed. */
  text: string | null;
  /** Content that only clients can read, in base64. This client does not open it, and says that the message is encrypted. */
  sealed?: string;
  /** The content is a preview: the beginning of a text, or an empty `sealed`. */
  truncated?: boolean;
  /** RFC 3339, UTC. */
  at: string;
  edited_at: string | null;
  deleted: boolean;
  thread: string | null;
  attachments: readonly Attachment[];
  blocks?: readonly Block[];
  mentions: readonly string[];
  reactions: readonly Reaction[];
  pinned: boolean;
}

/** A channel in the frames `hello` and `joined`. */
export interface ChannelHead {
  id: string;
  kind: Kind;
  name: string | null;
  role: Role;
  seq: number;
  read_seq: number;
}

/** A channel in `GET /v1/channels`. */
export interface ChannelSummary extends ChannelHead {
  topic: string | null;
  unread: number;
  muted: boolean;
  last_message: Message | null;
  slow_mode_seconds?: number;
  members?: number;
  /** The other person of a direct channel; absent where the server does not name one. */
  peer?: Person | null;
}

/** A browser in which the caller is signed in. Times are RFC 3339, UTC. */
export interface BrowserSession {
  id: string;
  created_at: string;
  last_seen: string;
  ends_at: string;
  /** The browser's own description. */
  user_agent: string;
  /** The session of the request. */
  current: boolean;
}

/** An invitation that the caller has not answered. */
export interface Invitation {
  channel: string;
  kind: Kind;
  name: string;
  /** The user who invited the caller. */
  inviter: string;
  role: Role;
  at: string;
}

/** A new channel, and the users who were invited instead of added. */
export interface CreatedChannel extends ChannelSummary {
  invited?: readonly string[];
}

/** The members who were added, and the users who were invited instead. */
export interface Added extends Page<Member> {
  invited?: readonly string[];
}

/** One page of a list; `next` is the cursor of the following page, absent on the last one. */
export interface Page<T> {
  items: readonly T[];
  next?: string;
}

/** A range of a channel's messages. Both bounds are exclusive; the answer is newest first. */
export interface MessageRange {
  before?: number;
  after?: number;
  limit: number;
}
