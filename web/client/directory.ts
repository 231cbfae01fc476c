/** Loads channels over HTTP into the store: the channel list, the details of channels, and the display names in them. */
import type { Api } from "./api";
import * as channels from "./channel";
import type { Cancel, Clock } from "./clock";
import type { ChannelSummary, Page, Person } from "./shapes";
import type { ClientStore } from "./state";

const retryMs = 2_000;
/** Channels per page where the caller has more than `hello` lists. */
const pageOfMany = 100;

/** Loads the channel list; the client does so by itself, except for further pages of very many channels. */
export class Directory {
  readonly #api: Api;
  readonly #store: ClientStore;
  readonly #clock: Clock;
  #retry: Cancel | null = null;
  /** The number of the latest load of the channel list. */
  #load = 0;
  /** How often the server's store has lost entries. */
  #losses = 0;
  #stopped = false;
  /** The caller has more channels than `hello` lists: pages are loaded as they are needed. */
  #many = false;
  /** Where the next page begins; undefined at the end. */
  #next: string | undefined;
  #loadingMore = false;
  readonly #learn: (found: readonly ChannelSummary[]) => void;

  /** `learn` adds channels of the caller that may be unknown. */
  constructor(api: Api, store: ClientStore, clock: Clock, learn: (found: readonly ChannelSummary[]) => void) {
    this.#api = api;
    this.#store = store;
    this.#clock = clock;
    this.#learn = learn;
  }

  /** Whether the caller has more channels than `hello` lists. */
  hello(many: boolean): void {
    this.#many = many;
  }

  /** Stores display names. */
  addNames(people: readonly Person[]): void {
    const { names } = this.#store.get();
    const changed = people.filter((p) => p.name !== null && p.name !== "" && names.get(p.user) !== p.name);
    if (changed.length === 0) return;
    const next = new Map(names);
    for (const { user, name } of changed) next.set(user, name ?? user);
    this.#store.update(() => ({ names: next }));
  }

  /** Loads what the channel list does not contain, such as the slow mode. */
  async loadDetails(channel: string): Promise<void> {
    const losses = this.#losses;
    const details = await this.#api.channel(channel).catch(() => null);
    if (losses !== this.#losses) return this.loadDetails(channel);
    if (details !== null) this.applySummaries([details]);
  }

  /** The server's store has lost entries: answers that are under way may be older than that. */
  lost(): void {
    this.#losses += 1;
    this.#load += 1;
  }

  /**
   * Loads the channel list page by page, of very many channels the first page: previews, counts, names. Retries until it succeeds;
   * a later call replaces an earlier one.
   */
  async loadChannels(): Promise<void> {
    this.#retry?.();
    const load = (this.#load += 1);
    let cursor: string | undefined;
    do {
      const page: Page<ChannelSummary> | null = await this.#page(cursor);
      if (load !== this.#load) return;
      if (page === null) {
        if (!this.#stopped) this.#retry = this.#clock.after(retryMs, () => void this.loadChannels());
        return;
      }
      this.#listed(page);
      cursor = page.next;
    } while (cursor !== undefined && !this.#many);
    this.#store.update(() => ({ listed: true }));
  }

  /** Loads the next page of very many channels. */
  async loadMoreChannels(): Promise<void> {
    if (this.#next === undefined || this.#loadingMore) return;
    const load = this.#load;
    this.#loadingMore = true;
    const page = await this.#page(this.#next);
    this.#loadingMore = false;
    if (page !== null && load === this.#load) this.#listed(page);
  }

  #page(cursor: string | undefined): Promise<Page<ChannelSummary> | null> {
    return this.#api.channels(cursor, this.#many ? pageOfMany : undefined).catch(() => null);
  }

  #listed(page: Page<ChannelSummary>): void {
    if (this.#many) this.#learn(page.items);
    else this.applySummaries(page.items);
    this.#next = this.#many ? page.next : undefined;
    this.#store.update(() => ({ moreChannels: this.#next !== undefined }));
  }

  /** Combines the server's summaries with the events since. */
  applySummaries(summaries: readonly ChannelSummary[]): void {
    this.addNames(summaries.flatMap((summary) => summary.peer ?? []));
    this.#store.update((s) => {
      const all = new Map(s.channels);
      for (const summary of summaries) {
        const known = all.get(summary.id);
        if (known !== undefined) all.set(summary.id, channels.withSummary(known, summary));
      }
      return { channels: all };
    });
  }

  /** Lets failed loads be retried. */
  start(): void {
    this.#stopped = false;
  }

  /** Ends retries. */
  stop(): void {
    this.#stopped = true;
    this.#retry?.();
  }
}
