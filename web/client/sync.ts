/**
 * Owns where the client stands in every channel's log, and decides for each frame what follows from it. Pure bookkeeping:
 * leaves sending to the caller and folding to `channel`.
 *
 * Guarantee: `apply` is decided exactly once per number and channel, in order, without a hole. Whatever the server or the
 * network does (duplicates, gaps, restarts), the worst outcome is another `sync` or a reset, never a silent hole.
 */
import type { ChannelHead, LogEvent, Synced } from "./frames";

export type Positions = Readonly<Record<string, number>>;

export type Verdict =
  /** The next number: fold it. */
  | "apply"
  /** Already folded, or of a channel that is not ours (any more). */
  | "drop"
  /** Numbers are missing before it: `request` the channel again. */
  | "gap";

export interface Opening {
  /** What the first `sync` of this connection must name. */
  positions: Positions;
  joined: readonly ChannelHead[];
  left: readonly string[];
}

export interface Resets {
  reset: readonly { channel: string; seq: number }[];
  gone: readonly string[];
}

export class Sync {
  /** The last number folded, per channel. */
  readonly #positions = new Map<string, number>();
  /** Channels that a `sync` was sent for and how many answers are still to come. */
  readonly #awaited = new Map<string, number>();

  position(channel: string): number | undefined {
    return this.#positions.get(channel);
  }

  /** A new connection begins: keeps the positions of channels that are still ours, and says what to ask for. */
  hello(heads: readonly ChannelHead[]): Opening {
    this.#awaited.clear();
    const present = new Set(heads.map((head) => head.id));
    const left = [...this.#positions.keys()].filter((id) => !present.has(id));
    for (const id of left) this.#positions.delete(id);
    const positions = this.request([...this.#positions.keys()]);
    const joined = heads.filter((head) => !this.#positions.has(head.id));
    for (const head of joined) this.#positions.set(head.id, head.seq);
    return { positions, joined, left };
  }

  /** A channel was gained. Returns what to ask for: something only if numbers before it are already missing. */
  joined(head: ChannelHead): Positions {
    const position = this.#positions.get(head.id);
    if (position === undefined) this.#positions.set(head.id, head.seq);
    else if (position < head.seq) return this.request([head.id]);
    return {};
  }

  left(channel: string): void {
    this.#positions.delete(channel);
    this.#awaited.delete(channel);
  }

  event(event: Pick<LogEvent, "channel" | "seq">): Verdict {
    const position = this.#positions.get(event.channel);
    if (position === undefined || event.seq <= position) return "drop";
    if (event.seq === position + 1) {
      this.#positions.set(event.channel, event.seq);
      return "apply";
    }
    // One question is enough: until it is answered, what comes too early comes again.
    return this.#awaited.has(event.channel) ? "drop" : "gap";
  }

  /** Positions for a `sync` frame that the caller now sends. */
  request(channels: readonly string[]): Positions {
    const positions: Record<string, number> = {};
    for (const channel of channels) {
      const position = this.#positions.get(channel);
      if (position === undefined) continue;
      positions[channel] = position;
      this.#awaited.set(channel, (this.#awaited.get(channel) ?? 0) + 1);
    }
    return positions;
  }

  /** What to forget. Events up to a `complete`'s number follow by themselves. */
  synced(frame: Synced): Resets {
    const reset: { channel: string; seq: number }[] = [];
    const gone: string[] = [];
    for (const [channel, verdict] of Object.entries(frame.channels)) {
      this.#answered(channel);
      if (!this.#positions.has(channel)) continue;
      if (verdict.status === "gone") {
        this.left(channel);
        gone.push(channel);
      } else if (verdict.status === "reset") {
        this.#positions.set(channel, verdict.seq);
        reset.push({ channel, seq: verdict.seq });
      }
    }
    return { reset, gone };
  }

  #answered(channel: string): void {
    const awaited = this.#awaited.get(channel) ?? 0;
    if (awaited > 1) this.#awaited.set(channel, awaited - 1);
    else this.#awaited.delete(channel);
  }
}
