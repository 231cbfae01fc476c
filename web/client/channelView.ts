/**
 * The channel on screen: loads its history, keeps it loaded, and bounds how many messages stay in memory.
 * Failed loads are reported in `ClientState.loadFailure`.
 */
import type { Channel } from "./channel";
import type { Cancel, Clock } from "./clock";
import type { LogEvent } from "./frames";
import { History } from "./history";
import type { HistoryLimits, LoadPage } from "./history";
import { Problem } from "./http";
import { changeChannel } from "./state";
import type { ClientStore } from "./state";
import { dropNewest, dropOldest } from "./timeline";

const retryMs = 2_000;

export class ChannelView {
  readonly #store: ClientStore;
  readonly #clock: Clock;
  readonly #limits: HistoryLimits;
  readonly #history: History;
  /** The newest message is on screen, so new messages push out the oldest. */
  #following = true;
  #stopped = false;
  #retry: Cancel | null = null;

  constructor(store: ClientStore, page: LoadPage, clock: Clock, limits: HistoryLimits) {
    this.#store = store;
    this.#clock = clock;
    this.#limits = limits;
    const timelines = {
      read: (id: string) => store.get().channels.get(id),
      write: (id: string, timeline: Channel["timeline"]) => changeChannel(store, id, (channel) => ({ ...channel, timeline })),
    };
    this.#history = new History(page, timelines, limits);
  }

  start(): void {
    this.#stopped = false;
  }

  stop(): void {
    this.#stopped = true;
    this.#retry?.();
  }

  /** Shows `channel` and loads its newest messages; null shows none. */
  open(channel: string | null): void {
    const previous = this.#store.get().openChannel;
    if (previous !== null && previous !== channel) this.#close(previous);
    this.#following = true;
    this.#store.update(() => ({ openChannel: channel, loadFailure: null }));
    if (channel !== null) void this.latest();
  }

  /** Says whether the newest message is on screen. This decides which end is dropped when the window is full. */
  follow(following: boolean): void {
    this.#following = following;
  }

  /** Loads the newest messages. Retries until it has them or another channel is opened. */
  async latest(): Promise<void> {
    const id = this.#store.get().openChannel;
    if (id === null) return;
    await this.#load((open) => this.#history.latest(open));
    const { openChannel, channels } = this.#store.get();
    const channel = channels.get(id);
    const missing = channel !== undefined && channel.timeline?.atEnd !== true;
    if (openChannel === id && missing && !this.#stopped && !this.#history.loading(id)) {
      this.#retry?.();
      this.#retry = this.#clock.after(retryMs, () => void this.latest());
    }
  }

  /** Loads message `seq` and those around it, unless it is loaded. Returns false where there is no such message. */
  async goTo(seq: number): Promise<boolean> {
    const id = this.#store.get().openChannel;
    if (id === null) return false;
    const loaded = () => this.#store.get().channels.get(id)?.timeline?.messages.some((m) => m.seq === seq) === true;
    if (loaded()) return true;
    this.#following = false;
    await this.#load((open) => this.#history.around(open, seq));
    await this.newer();
    return loaded();
  }

  older(): Promise<void> {
    return this.#load((id) => this.#history.older(id));
  }

  newer(): Promise<void> {
    return this.#load((id) => this.#history.newer(id));
  }

  /** Must be called for every event that is applied, of any channel. */
  record(event: LogEvent): void {
    this.#history.record(event);
  }

  /** Returns `channel` with no more loaded messages than the window holds. */
  bounded(channel: Channel): Channel {
    const { timeline } = channel;
    const { windowMax, windowKeep } = this.#limits;
    if (timeline === null || timeline.messages.length <= windowMax) return channel;
    const scrolledUp = this.#store.get().openChannel === channel.id && !this.#following;
    return { ...channel, timeline: scrolledUp ? dropNewest(timeline, windowKeep) : dropOldest(timeline, windowKeep) };
  }

  /** The log of `channel` was reset: what was loaded is void. */
  reset(channel: string): void {
    this.#history.cancel(channel);
    if (this.#store.get().openChannel === channel) void this.latest();
  }

  /** The caller is no longer a member of `channel`. */
  left(channel: string): void {
    this.#history.cancel(channel);
    this.#store.update((s) => ({ openChannel: s.openChannel === channel ? null : s.openChannel }));
  }

  /** Keeps the newest page, because users often return soon. */
  #close(id: string): void {
    changeChannel(this.#store, id, (channel) => {
      if (channel.timeline === null) return channel;
      return { ...channel, timeline: channel.timeline.atEnd ? dropOldest(channel.timeline, this.#limits.page) : null };
    });
    this.#history.cancel(id);
  }

  async #load(load: (channel: string) => Promise<void>): Promise<void> {
    const id = this.#store.get().openChannel;
    if (id === null) return;
    try {
      await load(id);
      this.#store.update(() => ({ loadFailure: null }));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#store.update(() => ({ loadFailure: error.reason }));
    }
  }
}
