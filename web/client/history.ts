/**
 * Loads pages of history over HTTP and joins them with the live log.
 *
 * A page shows messages as they were at some moment between request and answer. Events applied in that time are recorded and
 * applied again to the page, so that no change is lost. At most one load per channel runs; a reset cancels it.
 */
import type { LogEvent } from "./frames";
import type { Message, MessageRange } from "./shapes";
import { applyEvent, dropNewest, dropOldest, emptyTimeline, merge } from "./timeline";
import type { Timeline } from "./timeline";

/** Loads one page over HTTP. */
export type LoadPage = (channel: string, range: MessageRange) => Promise<readonly Message[]>;

/** Access to the channels' timelines. A channel that the caller left reads as undefined. */
export interface Timelines {
  read(channel: string): { timeline: Timeline | null; seq: number } | undefined;
  write(channel: string, timeline: Timeline): void;
}

/** How much history is loaded at once, and kept. */
export interface HistoryLimits {
  /** Messages per request. */
  page: number;
  /** Sequence numbers per request for newer messages; the server returns at most 200 messages at once. */
  span: number;
  /** Above `windowMax` loaded messages those at the far end are dropped, down to `windowKeep`. */
  windowMax: number;
  windowKeep: number;
  /** Above this many events during one load the page is discarded. */
  recorded: number;
}

export const defaultLimits: HistoryLimits = { page: 60, span: 200, windowMax: 600, windowKeep: 400, recorded: 2000 };

interface Load {
  name: "latest" | "older" | "newer" | "around";
  recorded: LogEvent[];
  overflowed: boolean;
}

export class History {
  readonly #page: LoadPage;
  readonly #timelines: Timelines;
  readonly #limits: HistoryLimits;
  readonly #loads = new Map<string, Load>();

  constructor(page: LoadPage, timelines: Timelines, limits: HistoryLimits = defaultLimits) {
    this.#page = page;
    this.#limits = limits;
    this.#timelines = timelines;
  }

  loading(channel: string): boolean {
    return this.#loads.has(channel);
  }

  /** Must be called for every event that is applied. */
  record(event: LogEvent): void {
    const load = this.#loads.get(event.channel);
    if (load === undefined) return;
    if (load.recorded.length < this.#limits.recorded) load.recorded.push(event);
    else load.overflowed = true;
  }

  /** Cancels the channel's load, after a reset or when the caller left. */
  cancel(channel: string): void {
    this.#loads.delete(channel);
  }

  /** Loads the newest page, unless the timeline already reaches the live log; replaces the timeline. */
  async latest(channel: string): Promise<void> {
    if (this.#timelines.read(channel)?.timeline?.atEnd === true) return;
    // The newest page replaces the page that is being loaded.
    if (this.#loads.get(channel)?.name !== "latest") this.cancel(channel);
    await this.#load(channel, "latest", async () => {
      const page = await this.#page(channel, { limit: this.#limits.page });
      return () => ({ ...emptyTimeline, messages: merge([], page), atStart: page.length < this.#limits.page });
    });
  }

  /** Replaces the timeline with the page that ends with message `seq`. `newer` loads what follows it. */
  async around(channel: string, seq: number): Promise<void> {
    this.cancel(channel);
    await this.#load(channel, "around", async () => {
      const page = await this.#page(channel, { before: seq + 1, limit: this.#limits.page });
      const atStart = page.length < this.#limits.page;
      return () => ({ messages: merge([], page), atStart, atEnd: false });
    });
  }

  /** Loads the page before the oldest loaded message. Drops the newest messages when the window is full. */
  async older(channel: string): Promise<void> {
    const timeline = this.#timelines.read(channel)?.timeline;
    const oldest = timeline?.messages[0];
    if (oldest === undefined || timeline?.atStart === true) return;
    await this.#load(channel, "older", async () => {
      const page = await this.#page(channel, { before: oldest.seq, limit: this.#limits.page });
      return (now) => {
        // The window may have moved meanwhile; a page that no longer adjoins it would leave a gap.
        if (now?.messages[0]?.seq !== oldest.seq) return now;
        const joined = { ...now, messages: merge(now.messages, page), atStart: page.length < this.#limits.page };
        return joined.messages.length > this.#limits.windowMax ? dropNewest(joined, this.#limits.windowKeep) : joined;
      };
    });
  }

  /** Loads the messages after the newest loaded one, unless the timeline already reaches the live log. */
  async newer(channel: string): Promise<void> {
    const state = this.#timelines.read(channel);
    const newest = state?.timeline?.messages.at(-1);
    if (state === undefined || newest === undefined || state.timeline?.atEnd === true) return;
    await this.#load(channel, "newer", async () => {
      const { page, reached } = await this.#nextPage(channel, newest.seq, state.seq);
      return (now) => {
        if (now?.messages.at(-1)?.seq !== newest.seq) return now;
        const joined = { ...now, messages: merge(now.messages, page), atEnd: reached };
        return joined.messages.length > this.#limits.windowMax ? dropOldest(joined, this.#limits.windowKeep) : joined;
      };
    });
  }

  /** Requests bounded ranges, each small enough for one page, and skips those without messages. */
  async #nextPage(channel: string, from: number, head: number): Promise<{ page: readonly Message[]; reached: boolean }> {
    for (let after = from; after < head; after += this.#limits.span) {
      const before = after + this.#limits.span + 1;
      const page = await this.#page(channel, { after, before, limit: this.#limits.span });
      if (page.length > 0) return { page, reached: before > head };
    }
    return { page: [], reached: true };
  }

  /** Runs one load per channel. `fetchPage` returns the function that joins the page with the timeline as it then is. */
  async #load(
    channel: string,
    name: Load["name"],
    fetchPage: () => Promise<(now: Timeline | null) => Timeline | null>,
  ): Promise<void> {
    // Without a position in the log the page cannot be joined with it.
    if (this.#loads.has(channel) || this.#timelines.read(channel) === undefined) return;
    const load: Load = { name, recorded: [], overflowed: false };
    this.#loads.set(channel, load);
    try {
      const join = await fetchPage();
      const state = this.#timelines.read(channel);
      if (this.#loads.get(channel) !== load || state === undefined || load.overflowed) return;
      const joined = join(state.timeline);
      if (joined === null) return;
      this.#timelines.write(channel, load.recorded.reduce(applyEvent, joined));
    } finally {
      if (this.#loads.get(channel) === load) this.#loads.delete(channel);
    }
  }
}
