/** The shape of everything the client knows. All of it is immutable. */
import type { Channel } from "./channel";
import type { ConnectionState } from "./connection";
import type { OutboxItem } from "./outbox";
import type { Roster } from "./roster";
import type { ChosenStatus, Invitation, Me, Status } from "./shapes";
import { withEntry } from "./store";
import type { Store } from "./store";

/** The presence of a watched user. */
export interface Presence {
  status: Status;
  /** RFC 3339, UTC; null where unknown. */
  lastSeen: string | null;
}

const statuses: readonly Status[] = ["online", "away", "dnd", "offline"];

/** A status that this version does not know counts as `online`. */
export function knownStatus(status: Status): Status {
  return statuses.includes(status) ? status : "online";
}

/** Everything the client knows. */
export interface ClientState {
  connection: ConnectionState;
  me: Me | null;
  /** The status that the caller chose. */
  status: ChosenStatus;
  /** When the credentials expire, in milliseconds since the epoch; null unless their renewal failed. */
  expiresAt: number | null;
  channels: ReadonlyMap<string, Channel>;
  /** The channel list was loaded at least once. */
  listed: boolean;
  /** The caller has channels that are not in `channels`; `Directory.loadMoreChannels` loads the next ones. */
  moreChannels: boolean;
  /** What is loaded of the member lists; `People` loads and changes them. */
  members: ReadonlyMap<string, Roster>;
  /** What the caller is invited to and has not answered, as far as `People` has loaded it. */
  invitations: readonly Invitation[];
  /** Display names by user, as far as known. */
  names: ReadonlyMap<string, string>;
  /** The users whom the caller has blocked, as far as `People` has loaded them. */
  blocked: ReadonlySet<string>;
  presence: ReadonlyMap<string, Presence>;
  /** The users who are typing, per channel. */
  typing: ReadonlyMap<string, readonly string[]>;
  outbox: readonly OutboxItem[];
  /** The channel on screen. */
  openChannel: string | null;
  /** The protocol's reason why `ChannelView` could not load the history of the channel on screen. */
  loadFailure: string | null;
}

export const initialState: ClientState = {
  connection: { name: "idle" },
  me: null,
  status: "online",
  expiresAt: null,
  channels: new Map(),
  listed: false,
  moreChannels: false,
  members: new Map(),
  invitations: [],
  names: new Map(),
  blocked: new Set(),
  presence: new Map(),
  typing: new Map(),
  outbox: [],
  openChannel: null,
  loadFailure: null,
};

export type ClientStore = Store<ClientState>;

/** Replaces one channel's state. Does nothing when the channel is unknown or `change` returns it unchanged. */
export function changeChannel(store: ClientStore, id: string, change: (channel: Channel) => Channel): void {
  const before = store.get().channels.get(id);
  if (before === undefined) return;
  const after = change(before);
  if (after !== before) store.update((s) => ({ channels: withEntry(s.channels, id, after) }));
}
