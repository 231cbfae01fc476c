/** The `sync` frames of one connection: splits positions into frames, and repeats a frame that the server could not serve. */
import type { Cancel, Clock } from "./clock";
import type { ClientFrame, ErrorFrame } from "./frames";
import type { Positions, Sync } from "./sync";

/** A frame of 64 KiB has room for about 1,400. */
const positionsPerFrame = 1_000;
const defaultRetryMs = 1_000;

export class SyncRequests {
  readonly #sync: Sync;
  readonly #clock: Clock;
  readonly #sendFrame: (frame: ClientFrame) => unknown;
  /** The channels of each frame sent on this connection, by `ref`, until it is refused. */
  readonly #sent = new Map<string, readonly string[]>();
  readonly #timers = new Set<Cancel>();
  #count = 0;

  constructor(sync: Sync, clock: Clock, send: (frame: ClientFrame) => unknown) {
    this.#sync = sync;
    this.#clock = clock;
    this.#sendFrame = send;
  }

  /** Opens the flow of a new connection: the server sends live events only after a `sync`, so one is sent even without positions. */
  open(positions: Positions): void {
    if (Object.keys(positions).length === 0) this.#send({});
    else this.send(positions);
  }

  send(positions: Positions): void {
    const all = Object.entries(positions);
    for (let start = 0; start < all.length; start += positionsPerFrame) {
      this.#send(Object.fromEntries(all.slice(start, start + positionsPerFrame)));
    }
  }

  answered(ref: string | undefined): void {
    if (ref !== undefined) this.#sent.delete(ref);
  }

  /** Returns false when `ref` belongs to no `sync`. */
  refused({ ref, retry_after: seconds }: ErrorFrame): boolean {
    const channels = ref === undefined ? undefined : this.#sent.get(ref);
    if (ref === undefined || channels === undefined) return false;
    this.#sent.delete(ref);
    const cancel = this.#clock.after(seconds === undefined ? defaultRetryMs : seconds * 1000, () => {
      this.#timers.delete(cancel);
      this.open(this.#sync.refused(channels));
    });
    this.#timers.add(cancel);
    return true;
  }

  closed(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
    this.#sent.clear();
  }

  #send(positions: Positions): void {
    const ref = `s${(this.#count += 1)}`;
    this.#sent.set(ref, Object.keys(positions));
    const { epoch } = this.#sync;
    this.#sendFrame({ type: "sync", ref, ...(epoch === undefined ? {} : { epoch }), positions });
  }
}
