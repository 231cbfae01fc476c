/**
 * Owns loading stretches of history over HTTP and joining them with the live log; leaves folding to `timeline`.
 *
 * The join: history shows messages as they stood at some moment between the question and the answer. Every event folded in
 * that time is recorded and folded again over the page, so no edit falls between the two. At most one load per channel
 * runs; a reset makes a running one void.
 */
import type { LogEvent, Message } from "./frames";
import { applyEvent, dropNewest, dropOldest, emptyTimeline, merge } from "./timeline";
import type { Timeline } from "./timeline";

export interface PageQuery {
  before?: number;
  after?: number;
  limit: number;
}

export interface HistorySource {
  /** Newest first; both bounds exclusive. */
  page(channel: string, query: PageQuery): Promise<readonly Message[]>;
}

/** Where the timelines live. `write` with null never happens; a channel that is gone reads as undefined. */
export interface Timelines {
  read(channel: string): { timeline: Timeline | null; seq: number } | undefined;
  write(channel: string, timeline: Timeline): void;
}

export interface HistoryLimits {
  /** Messages per question. */
  page: number;
  /** Sequence numbers that one question upwards spans; the server returns at most 200 messages at once. */
  span: number;
  /** Loaded messages above which the far end is dropped, and how many then stay. */
  windowMax: number;
  windowKeep: number;
  /** Events recorded during one load above which the page is read again instead. */
  recorded: number;
}

export const defaultLimits: HistoryLimits = { page: 60, span: 200, windowMax: 600, windowKeep: 400, recorded: 2000 };

interface Load {
  name: "latest" | "older" | "newer" | "around";
  recorded: LogEvent[];
  overflowed: boolean;
}

export class History {
  readonly #source: HistorySource;
  readonly #timelines: Timelines;
  readonly #limits: HistoryLimits;
  readonly #loads = new Map<string, Load>();

  constructor(source: HistorySource, timelines: Timelines, limits: HistoryLimits = defaultLimits) {
    this.#source = source;
    this.#limits = limits;
    this.#timelines = timelines;
  }

  loading(channel: string): boolean {
    return this.#loads.has(channel);
  }

  /** Every event that was folded must pass here too. */
  record(event: LogEvent): void {
    const load = this.#loads.get(event.channel);
    if (load === undefined) return;
    if (load.recorded.length < this.#limits.recorded) load.recorded.push(event);
    else load.overflowed = true;
  }

  /** The channel was reset or left: a running load must not write. */
  forget(channel: string): void {
    this.#loads.delete(channel);
  }

  /** The newest page, joined to the live log; replaces a timeline that is not. Does nothing when there is one that is. */
  async latest(channel: string): Promise<void> {
    if (this.#timelines.read(channel)?.timeline?.atEnd === true) return;
    // Whoever wants the newest page no longer wants the one being loaded.
    if (this.#loads.get(channel)?.name !== "latest") this.forget(channel);
    await this.#load(channel, "latest", async () => {
      const page = await this.#source.page(channel, { limit: this.#limits.page });
      return () => ({ ...emptyTimeline, messages: merge([], page), atStart: page.length < this.#limits.page });
    });
  }

  /** The stretch that ends with message `seq`, in place of what is loaded; what follows it comes by `newer`. */
  async around(channel: string, seq: number): Promise<void> {
    this.forget(channel);
    await this.#load(channel, "around", async () => {
      const page = await this.#source.page(channel, { before: seq + 1, limit: this.#limits.page });
      const atStart = page.length < this.#limits.page;
      return () => ({ messages: merge([], page), atStart, atEnd: false });
    });
  }

  /** The page before the oldest loaded message. Drops the far end when the window is full. */
  async older(channel: string): Promise<void> {
    const timeline = this.#timelines.read(channel)?.timeline;
    const oldest = timeline?.messages[0];
    if (oldest === undefined || timeline?.atStart === true) return;
    await this.#load(channel, "older", async () => {
      const page = await this.#source.page(channel, { before: oldest.seq, limit: this.#limits.page });
      return (now) => {
        // The window may have moved meanwhile; a page that no longer touches it would leave a hole.
        if (now?.messages[0]?.seq !== oldest.seq) return now;
        const joined = { ...now, messages: merge(now.messages, page), atStart: page.length < this.#limits.page };
        return joined.messages.length > this.#limits.windowMax ? dropNewest(joined, this.#limits.windowKeep) : joined;
      };
    });
  }

  /** The messages after the newest loaded one, where the window is not joined to the live log. */
  async newer(channel: string): Promise<void> {
    const state = this.#timelines.read(channel);
    const newest = state?.timeline?.messages.at(-1);
    if (state === undefined || newest === undefined || state.timeline?.atEnd === true) return;
    await this.#load(channel, "newer", async () => {
      const { page, reached } = await this.#upwards(channel, newest.seq, state.seq);
      return (now) => {
        if (now?.messages.at(-1)?.seq !== newest.seq) return now;
        const joined = { ...now, messages: merge(now.messages, page), atEnd: reached };
        return joined.messages.length > this.#limits.windowMax ? dropOldest(joined, this.#limits.windowKeep) : joined;
      };
    });
  }

  /** Both bounds are given, so that a page can hold everything between them. Skips stretches without messages. */
  async #upwards(channel: string, from: number, head: number): Promise<{ page: readonly Message[]; reached: boolean }> {
    for (let after = from; after < head; after += this.#limits.span) {
      const before = after + this.#limits.span + 1;
      const page = await this.#source.page(channel, { after, before, limit: this.#limits.span });
      if (page.length > 0) return { page, reached: before > head };
    }
    return { page: [], reached: true };
  }

  /** Runs one load per channel: `ask` fetches, the function it returns places the page into the timeline of that moment. */
  async #load(
    channel: string,
    name: Load["name"],
    ask: () => Promise<(now: Timeline | null) => Timeline | null>,
  ): Promise<void> {
    // Without a position in the log there is nothing to join a page with.
    if (this.#loads.has(channel) || this.#timelines.read(channel) === undefined) return;
    const load: Load = { name, recorded: [], overflowed: false };
    this.#loads.set(channel, load);
    try {
      const place = await ask();
      const state = this.#timelines.read(channel);
      if (this.#loads.get(channel) !== load || state === undefined || load.overflowed) return;
      const placed = place(state.timeline);
      if (placed === null) return;
      this.#timelines.write(channel, load.recorded.reduce(applyEvent, placed));
    } finally {
      if (this.#loads.get(channel) === load) this.#loads.delete(channel);
    }
  }
}
