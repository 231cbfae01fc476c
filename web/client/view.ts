/**
 * `@hubbub/client/view`: the channel on screen. Loads its history into the client's state, keeps it loaded, and bounds how many
 * messages stay in memory. Failed loads are reported in `ClientState.loadFailure`.
 * Create one `ChannelView` for a client before the client starts.
 */
import { defaultLimits, History } from "./history";
import type { HistoryLimits } from "./history";
import { Problem, systemClock } from "./index.js";
import type { Cancel, Channel, Clock, HubbubClient, Timeline } from "./index.js";
import { dropNewest, dropOldest } from "./timeline";

export type { HistoryLimits };

const retryMs = 2_000;

/** The channel on screen of one client. */
export class ChannelView {
  readonly #client: HubbubClient;
  readonly #clock: Clock;
  readonly #limits: HistoryLimits;
  readonly #history: History;
  /** The channel on screen. */
  #shown: string | null = null;
  /** The newest message is on screen, so new messages push out the oldest. */
  #following = true;
  #stopped = false;
  #retry: Cancel | null = null;

  constructor(client: HubbubClient, limits: HistoryLimits = defaultLimits, clock: Clock = systemClock) {
    this.#client = client;
    this.#clock = clock;
    this.#limits = limits;
    const timelines = {
      read: (id: string) => this.#channel(id),
      write: (id: string, timeline: Timeline | null) => this.#change(id, (channel) => ({ ...channel, timeline })),
    };
    this.#history = new History((channel, range) => client.api.messages(channel, range), timelines, limits);
    client.on("opened", (channel) => this.#show(channel));
    client.on("joined", (channel) => this.#known(channel));
    client.on("reset", (channel) => this.#voided(channel));
    client.on("left", (channel) => this.#history.cancel(channel));
    client.on("event", (event) => {
      this.#history.record(event);
      this.#change(event.channel, (channel) => this.#bounded(channel));
    });
    client.on("connection", ({ name }) => {
      this.#stopped = name === "idle";
      if (this.#stopped) this.#retry?.();
      if (name === "open") void this.latest();
    });
  }

  /** Says whether the newest message is on screen. This decides which end is dropped when the window is full. */
  follow(following: boolean): void {
    this.#following = following;
  }

  /** Loads the newest messages. Retries until it has them or another channel is opened. */
  async latest(): Promise<void> {
    const id = this.#client.store.get().openChannel;
    if (id === null) return;
    await this.#load((open) => this.#history.latest(open));
    const { openChannel, channels } = this.#client.store.get();
    const channel = channels.get(id);
    const missing = channel !== undefined && channel.timeline?.atEnd !== true;
    if (openChannel === id && missing && !this.#stopped && !this.#history.loading(id)) {
      this.#retry?.();
      this.#retry = this.#clock.after(retryMs, () => void this.latest());
    }
  }

  /** Loads message `seq` and those around it, unless it is loaded. Returns false where there is no such message. */
  async goTo(seq: number): Promise<boolean> {
    const id = this.#client.store.get().openChannel;
    if (id === null) return false;
    const loaded = () => this.#client.store.get().channels.get(id)?.timeline?.messages.some((m) => m.seq === seq) === true;
    if (loaded()) return true;
    this.#following = false;
    await this.#load((open) => this.#history.around(open, seq));
    await this.newer();
    return loaded();
  }

  /** Loads the page before the loaded messages. */
  older(): Promise<void> {
    return this.#load((id) => this.#history.older(id));
  }

  /** Loads the page after the loaded messages. */
  newer(): Promise<void> {
    return this.#load((id) => this.#history.newer(id));
  }

  /** Another channel is on screen. Keeps the newest page of the one before, because users often return soon. */
  #show(channel: string | null): void {
    const previous = this.#shown;
    if (previous !== channel) {
      this.#shown = channel;
      this.#following = true;
      if (previous !== null) {
        this.#change(previous, (before) => {
          if (before.timeline === null) return before;
          return { ...before, timeline: before.timeline.atEnd ? dropOldest(before.timeline, this.#limits.page) : null };
        });
        this.#history.cancel(previous);
      }
    }
    void this.latest();
  }

  /** The channel on screen may be one that was not known when it was opened. */
  #known(channel: string): void {
    if (this.#client.store.get().openChannel === channel) void this.latest();
  }

  /** What was loaded of `channel` is void. */
  #voided(channel: string): void {
    this.#history.cancel(channel);
    this.#known(channel);
  }

  /** Returns `channel` with no more loaded messages than the window holds. */
  #bounded(channel: Channel): Channel {
    const { timeline } = channel;
    const { windowMax, windowKeep } = this.#limits;
    if (timeline === null || timeline.messages.length <= windowMax) return channel;
    const scrolledUp = this.#shown === channel.id && !this.#following;
    return { ...channel, timeline: scrolledUp ? dropNewest(timeline, windowKeep) : dropOldest(timeline, windowKeep) };
  }

  #channel(id: string): Channel | undefined {
    return this.#client.store.get().channels.get(id);
  }

  #change(id: string, change: (channel: Channel) => Channel): void {
    const before = this.#channel(id);
    if (before === undefined) return;
    const after = change(before);
    if (after !== before) this.#client.store.update((s) => ({ channels: new Map(s.channels).set(id, after) }));
  }

  async #load(load: (channel: string) => Promise<void>): Promise<void> {
    const id = this.#client.store.get().openChannel;
    if (id === null) return;
    try {
      await load(id);
      this.#client.store.update(() => ({ loadFailure: null }));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#client.store.update(() => ({ loadFailure: error.reason }));
    }
  }
}
