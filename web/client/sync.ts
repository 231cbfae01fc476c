/**
 * The client's position in every channel's log. Decides for each event whether to apply it, drop it, or ask for missing events.
 * The caller sends the frames and applies the events.
 *
 * Guarantee: every event of a channel is applied exactly once, in order, without a gap. Duplicates, gaps and restarts of the
 * server lead at worst to another `sync` or a reset, never to a silent gap.
 */
import type { Hello, LogEvent, Synced } from "./frames";
import type { ChannelHead } from "./shapes";

export type Positions = Readonly<Record<string, number>>;

export type Verdict =
  /** The next event: apply it. */
  | "apply"
  /** Already applied, or of a channel that the caller is not a member of. */
  | "drop"
  /** Of a channel that `hello` had no room for: read it over HTTP and pass it to `joined`. */
  | "unknown"
  /** Events before it are missing: `request` the channel again. */
  | "gap";

export interface Opening {
  /** For the first `sync` of this connection. */
  positions: Positions;
  /** The store has lost entries: everything known about channels is void. Then `joined` has all that `hello` has. */
  voided: boolean;
  joined: readonly ChannelHead[];
  left: readonly string[];
}

export interface Resets {
  reset: readonly { channel: string; seq: number }[];
  gone: readonly string[];
}

export class Sync {
  /** The number of the last event applied, per channel. */
  readonly #positions = new Map<string, number>();
  /** The number of unanswered `sync` requests, per channel. */
  readonly #unanswered = new Map<string, number>();
  #epoch: string | undefined;
  /** The caller has channels that `hello` did not list. */
  #more = false;

  /** The epoch of all positions. */
  get epoch(): string | undefined {
    return this.#epoch;
  }

  position(channel: string): number | undefined {
    return this.#positions.get(channel);
  }

  /** Starts a new connection: keeps the positions of the caller's channels unless the epoch is another, and returns what to ask for. */
  hello({ channels: heads, epoch, more = false }: Pick<Hello, "channels" | "epoch" | "more">): Opening {
    this.#unanswered.clear();
    this.#more = more;
    const voided = this.#epoch !== undefined && epoch !== this.#epoch;
    this.#epoch = epoch;
    const present = new Set(heads.map((head) => head.id));
    // Of channels that `hello` had no room for, the answer to the `sync` says whether the caller is still a member.
    const left = [...this.#positions.keys()].filter((id) => !present.has(id) && (voided || !more));
    if (voided) this.#positions.clear();
    for (const id of left) this.#positions.delete(id);
    const positions = this.request([...this.#positions.keys()]);
    const joined = heads.filter((head) => !this.#positions.has(head.id));
    for (const head of joined) this.#positions.set(head.id, head.seq);
    return { positions, voided, joined, left };
  }

  /** The caller became a member. Returns what to ask for: nothing, unless events are already missing. */
  joined(head: ChannelHead): Positions {
    const position = this.#positions.get(head.id);
    if (position === undefined) this.#positions.set(head.id, head.seq);
    else if (position < head.seq) return this.request([head.id]);
    return {};
  }

  left(channel: string): void {
    this.#positions.delete(channel);
    this.#unanswered.delete(channel);
  }

  event(event: Pick<LogEvent, "channel" | "seq">): Verdict {
    const position = this.#positions.get(event.channel);
    if (position === undefined) return this.#more ? "unknown" : "drop";
    if (event.seq <= position) return "drop";
    if (event.seq === position + 1) {
      this.#positions.set(event.channel, event.seq);
      return "apply";
    }
    // One request is enough: its answer contains every event that is dropped until then.
    return this.#unanswered.has(event.channel) ? "drop" : "gap";
  }

  /** Returns the positions for a `sync` frame, which the caller must send. */
  request(channels: readonly string[]): Positions {
    const positions: Record<string, number> = {};
    for (const channel of channels) {
      const position = this.#positions.get(channel);
      if (position === undefined) continue;
      positions[channel] = position;
      this.#unanswered.set(channel, (this.#unanswered.get(channel) ?? 0) + 1);
    }
    return positions;
  }

  /** A request for these channels was refused, and nothing has changed. Returns the positions for the next one. */
  refused(channels: readonly string[]): Positions {
    for (const channel of channels) this.#answered(channel);
    return this.request(channels);
  }

  /** Returns the channels whose state is void. Channels answered with `complete` need nothing: their events follow. */
  synced(frame: Synced): Resets {
    const reset: { channel: string; seq: number }[] = [];
    const gone: string[] = [];
    for (const [channel, verdict] of Object.entries(frame.channels)) {
      this.#answered(channel);
      if (!this.#positions.has(channel)) continue;
      if (verdict.status === "gone") {
        this.left(channel);
        gone.push(channel);
      } else if (verdict.status !== "complete") {
        // Unknown verdicts count as `reset` (docs/protocol.md, "Compatibility").
        this.#positions.set(channel, verdict.seq);
        reset.push({ channel, seq: verdict.seq });
      }
    }
    return { reset, gone };
  }

  #answered(channel: string): void {
    const unanswered = this.#unanswered.get(channel) ?? 0;
    if (unanswered > 1) this.#unanswered.set(channel, unanswered - 1);
    else this.#unanswered.delete(channel);
  }
}
