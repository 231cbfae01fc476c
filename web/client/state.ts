/** Owns the shape of what the client knows; leaves changing it to `client`. Everything in it is immutable. */
import type { Me } from "./api";
import type { Channel } from "./channel";
import type { ConnectionState } from "./connection";
import type { ChosenStatus, Member, Status } from "./frames";
import type { OutboxItem } from "./outbox";

export interface Presence {
  status: Status;
  /** RFC 3339, UTC; null where it is not known. */
  lastSeen: string | null;
}

export interface ClientState {
  connection: ConnectionState;
  me: Me | null;
  /** How present the caller wants to be seen. */
  status: ChosenStatus;
  /** When the sign-in ends (milliseconds since the epoch), where it could not be renewed by itself so far. */
  endingAt: number | null;
  channels: ReadonlyMap<string, Channel>;
  /** Whether the channel list was read at least once. */
  listed: boolean;
  members: ReadonlyMap<string, readonly Member[]>;
  /** Display names, as far as they were heard. */
  names: ReadonlyMap<string, string>;
  /** Whom the caller has blocked. */
  blocked: ReadonlySet<string>;
  presence: ReadonlyMap<string, Presence>;
  /** Who types, per channel. Entries go by themselves. */
  typing: ReadonlyMap<string, readonly string[]>;
  outbox: readonly OutboxItem[];
  /** The channel whose history is being kept loaded. */
  openChannel: string | null;
  /** Why loading the open channel's history failed, in the protocol's words. */
  loadFailure: string | null;
}

export const initialState: ClientState = {
  connection: { name: "idle" },
  me: null,
  status: "online",
  endingAt: null,
  channels: new Map(),
  listed: false,
  members: new Map(),
  names: new Map(),
  blocked: new Set(),
  presence: new Map(),
  typing: new Map(),
  outbox: [],
  openChannel: null,
  loadFailure: null,
};
