/**
 * Owns the conversation's passing state: who types, whose presence is watched, what was read. Latest value wins, losing one
 * is harmless, so nothing here is repeated except on a new connection.
 */
import type { Cancel, Clock } from "./clock";
import type { ChosenStatus, ClientFrame } from "./frames";

const typingEveryMs = 3_000;
/** Longer than the sender's pause, so that an indicator does not blink between two signals. */
const typingShownMs = 6_000;
const readEveryMs = 300;
/** The protocol sets no bound; a screen shows fewer. */
const watchMax = 200;

export interface AttentionOptions {
  clock: Clock;
  send: (frame: ClientFrame) => boolean;
  typingChanged: (channel: string, users: readonly string[]) => void;
}

export class Attention {
  readonly #options: AttentionOptions;
  readonly #typers = new Map<string, Map<string, Cancel>>();
  readonly #typedAt = new Map<string, number>();
  readonly #reads = new Map<string, number>();
  #readsDue = false;
  #watched: readonly string[] = [];
  /** Null until the caller chooses one: then the server's own idea counts. */
  #status: ChosenStatus | null = null;

  constructor(options: AttentionOptions) {
    this.#options = options;
  }

  /** A new connection: what this one must know again. */
  opened(): void {
    if (this.#watched.length > 0) this.#options.send({ type: "watch", users: this.#watched });
    if (this.#status !== null) this.#options.send({ type: "status", status: this.#status });
    this.#flushReads();
  }

  /** How present the caller wants to be seen, here and on every later connection. */
  status(status: ChosenStatus): void {
    this.#status = status;
    this.#options.send({ type: "status", status });
  }

  /** The caller typed something. Signals at most every 3 s per channel. */
  typed(channel: string): void {
    const now = this.#options.clock.now();
    if (now - (this.#typedAt.get(channel) ?? -typingEveryMs) < typingEveryMs) return;
    if (this.#options.send({ type: "typing", channel })) this.#typedAt.set(channel, now);
  }

  /** The caller's message went out: the next key press signals at once. */
  sent(channel: string): void {
    this.#typedAt.delete(channel);
  }

  typing(channel: string, user: string): void {
    const typers = this.#typers.get(channel) ?? new Map<string, Cancel>();
    this.#typers.set(channel, typers);
    typers.get(user)?.();
    typers.set(user, this.#options.clock.after(typingShownMs, () => this.stopped(channel, user)));
    this.#options.typingChanged(channel, [...typers.keys()]);
  }

  stopped(channel: string, user: string): void {
    const typers = this.#typers.get(channel);
    if (typers?.has(user) !== true) return;
    typers.get(user)?.();
    typers.delete(user);
    this.#options.typingChanged(channel, [...typers.keys()]);
  }

  /** Replaces the set whose presence is wanted. */
  watch(users: readonly string[]): void {
    const wanted = [...new Set(users)].sort().slice(0, watchMax);
    if (wanted.join("\n") === this.#watched.join("\n")) return;
    this.#watched = wanted;
    this.#options.send({ type: "watch", users: wanted });
  }

  /** Tells the server soon; of several within 300 ms only the furthest. */
  read(channel: string, seq: number): void {
    this.#reads.set(channel, Math.max(seq, this.#reads.get(channel) ?? 0));
    if (this.#readsDue) return;
    this.#readsDue = true;
    this.#options.clock.after(readEveryMs, () => {
      this.#readsDue = false;
      this.#flushReads();
    });
  }

  #flushReads(): void {
    for (const [channel, seq] of this.#reads) {
      if (this.#options.send({ type: "read", channel, seq })) this.#reads.delete(channel);
    }
  }
}
