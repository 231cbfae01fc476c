/** What a client is made of. `connect` chooses it for most products. */
import type { Clock } from "./clock";
import type { SocketLike } from "./connection";
import type { Credentials } from "./credentials";
import type { Http } from "./http";
import type { OutboxStorage } from "./outbox";
import type { Me } from "./shapes";

/** What a `HubbubClient` is made of. */
export interface ClientOptions {
  /** The user, from `api.me()`. */
  me: Me;
  http: Http;
  /** Opens a socket with a new ticket; see `webSocket`. */
  socket: (ticket: string) => SocketLike;
  /** The credentials that `http` uses. */
  credentials: Credentials;
  /** Where unsent messages are kept: `localOutbox`, `memoryOutbox`, or your own. */
  storage: OutboxStorage;
  clock?: Clock;
  /** Makes the idempotency keys of messages: UUIDs of version 7 by default. */
  newKey?: () => string;
  /** When subscribers are notified of changes: see `Store`. */
  schedule?: (run: () => void) => void;
}
