/** What the client announces to its listeners. The state in `store` is changed before an announcement. */
import type { ConnectionState } from "./connection";
import type { LogEvent } from "./frames";
import type { Invitation, Message } from "./shapes";

/** The names of the announcements, and what a listener gets. */
export interface ClientEvents {
  /** The connection entered another state. */
  connection: ConnectionState;
  /** An entry of a channel's log: each exactly once, in the order of `seq`, also across reconnects. After `reset` the numbers go on behind a gap. */
  event: LogEvent;
  /** The message that a `message.posted` entry made, the caller's own included. */
  message: Message;
  /** The caller has a channel that was not known before; also each channel of the first `hello`. Its id. */
  joined: string;
  /** The caller is no longer a member of a channel. Its id. */
  left: string;
  /** Entries of a channel could not be delivered: what was derived from its log is void. Its id. */
  reset: string;
  /** The channel on screen, or null, once it can be loaded: after `open`, and again after the server's store lost entries. */
  opened: string | null;
  /** Another user invited the caller to a channel. */
  invited: Invitation;
  /** A frame of a type that this version does not know, as it came. */
  unknown: { readonly type: string };
}

type Listeners = { [K in keyof ClientEvents]?: Set<(value: ClientEvents[K]) => void> };

/** Calls the listeners of an announcement in the order of their registration. */
export class Events {
  readonly #listeners: Listeners = {};

  /** Returns the function that ends the registration. */
  on<K extends keyof ClientEvents>(name: K, listener: (value: ClientEvents[K]) => void): () => void {
    const listeners: Set<(value: ClientEvents[K]) => void> = (this.#listeners[name] ??= new Set<never>());
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** A listener that throws stops neither the client nor other listeners: its error is reported as uncaught. */
  emit<K extends keyof ClientEvents>(name: K, value: ClientEvents[K]): void {
    for (const listener of [...(this.#listeners[name] ?? [])]) {
      try {
        listener(value);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
