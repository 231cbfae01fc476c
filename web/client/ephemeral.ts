/**
 * Ephemeral signals in both directions: typing, presence, read positions. The latest value wins and a lost one is harmless,
 * so signals are sent again only on a new connection.
 */
import type { Cancel, Clock } from "./clock";
import type { ClientFrame } from "./frames";
import type { ChosenStatus } from "./shapes";

const typingEveryMs = 3_000;
/** Longer than the sender's interval, so that the indicator does not flicker between two signals. */
const typingShownMs = 6_000;
const readEveryMs = 300;
/** Our own bound, well above what a screen shows; the protocol has none. */
const watchMax = 200;

export interface EphemeralOptions {
  clock: Clock;
  send: (frame: ClientFrame) => boolean;
  typingChanged: (channel: string, users: readonly string[]) => void;
}

export class Ephemeral {
  readonly #options: EphemeralOptions;
  readonly #typers = new Map<string, Map<string, Cancel>>();
  readonly #typedAt = new Map<string, number>();
  readonly #unsentReads = new Map<string, number>();
  #readsScheduled = false;
  #watched: readonly string[] = [];
  /** Null until the caller chooses one; until then the server decides. */
  #status: ChosenStatus | null = null;

  constructor(options: EphemeralOptions) {
    this.#options = options;
  }

  /** Tells a new connection what the server forgot with the old one. */
  opened(): void {
    if (this.#watched.length > 0) this.#options.send({ type: "watch", users: this.#watched });
    if (this.#status !== null) this.#options.send({ type: "status", status: this.#status });
    this.#flushReads();
  }

  /** Sets the caller's status on this connection and every later one. */
  setStatus(status: ChosenStatus): void {
    this.#status = status;
    this.#options.send({ type: "status", status });
  }

  /** The caller pressed a key. Signals at most every 3 s per channel. */
  sendTyping(channel: string): void {
    const now = this.#options.clock.now();
    if (now - (this.#typedAt.get(channel) ?? -typingEveryMs) < typingEveryMs) return;
    if (this.#options.send({ type: "typing", channel })) this.#typedAt.set(channel, now);
  }

  /** The caller sent a message: the next key press signals at once. */
  messageSent(channel: string): void {
    this.#typedAt.delete(channel);
  }

  /** Another member typed. Their indicator disappears after 6 s without a further signal. */
  showTyping(channel: string, user: string): void {
    const typers = this.#typers.get(channel) ?? new Map<string, Cancel>();
    this.#typers.set(channel, typers);
    typers.get(user)?.();
    typers.set(user, this.#options.clock.after(typingShownMs, () => this.hideTyping(channel, user)));
    this.#options.typingChanged(channel, [...typers.keys()]);
  }

  hideTyping(channel: string, user: string): void {
    const typers = this.#typers.get(channel);
    if (typers?.has(user) !== true) return;
    typers.get(user)?.();
    typers.delete(user);
    this.#options.typingChanged(channel, [...typers.keys()]);
  }

  /** Replaces the set of users whose presence is watched. */
  watch(users: readonly string[]): void {
    const wanted = [...new Set(users)].sort().slice(0, watchMax);
    if (wanted.join("\n") === this.#watched.join("\n")) return;
    this.#watched = wanted;
    this.#options.send({ type: "watch", users: wanted });
  }

  /** Sends the read position; of several within 300 ms only the highest. */
  sendRead(channel: string, seq: number): void {
    this.#unsentReads.set(channel, Math.max(seq, this.#unsentReads.get(channel) ?? 0));
    if (this.#readsScheduled) return;
    this.#readsScheduled = true;
    this.#options.clock.after(readEveryMs, () => {
      this.#readsScheduled = false;
      this.#flushReads();
    });
  }

  #flushReads(): void {
    for (const [channel, seq] of this.#unsentReads) {
      if (this.#options.send({ type: "read", channel, seq })) this.#unsentReads.delete(channel);
    }
  }
}
