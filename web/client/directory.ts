/** Owns reading about channels and people over HTTP into the store: names, members, the channel list. Leaves the log to `client`. */
import type { Api, Person } from "./api";
import * as channels from "./channel";
import type { Cancel, Clock } from "./clock";
import type { ChannelSummary } from "./frames";
import type { Page } from "./moderation";
import type { ClientState } from "./state";
import { withEntry } from "./store";
import type { Store } from "./store";

const retryMs = 2_000;

export class Directory {
  readonly #api: Api;
  readonly #store: Store<ClientState>;
  readonly #clock: Clock;
  #retry: Cancel | null = null;
  #stopped = false;

  constructor(api: Api, store: Store<ClientState>, clock: Clock) {
    this.#api = api;
    this.#store = store;
    this.#clock = clock;
  }

  /** Remembers display names. */
  learn(people: readonly { user: string; name: string | null }[]): void {
    const { names } = this.#store.get();
    const news = people.filter((p) => p.name !== null && p.name !== "" && names.get(p.user) !== p.name);
    if (news.length === 0) return;
    const learned = new Map(names);
    for (const { user, name } of news) learned.set(user, name ?? user);
    this.#store.update(() => ({ names: learned }));
  }

  /** Reads a channel's members; keeps what is known where that fails. */
  async loadMembers(channel: string): Promise<void> {
    const members = await this.#api.members(channel).catch(() => null);
    if (members === null || !this.#store.get().channels.has(channel)) return;
    this.learn(members);
    this.#store.update((s) => ({ members: withEntry(s.members, channel, members) }));
  }

  /** Reads what only a channel's own page says, such as its slow mode. */
  async loadDetails(channel: string): Promise<void> {
    const details = await this.#api.channel(channel).catch(() => null);
    if (details !== null) this.summarise([details]);
  }

  /** Reads the channel list: previews, counts, names. Tries until it has it. */
  async refresh(): Promise<void> {
    this.#retry?.();
    const summaries = await this.#api.channels().catch(() => null);
    if (summaries !== null) {
      this.summarise(summaries);
      this.#store.update(() => ({ listed: true }));
    } else if (!this.#stopped) {
      this.#retry = this.#clock.after(retryMs, () => void this.refresh());
    }
  }

  /** Joins what the server says about channels with what the log said since. */
  summarise(summaries: readonly ChannelSummary[]): void {
    this.learn(summaries.flatMap((summary) => summary.peer ?? []));
    this.#store.update((s) => {
      const all = new Map(s.channels);
      for (const summary of summaries) {
        const known = all.get(summary.id);
        if (known !== undefined) all.set(summary.id, channels.withSummary(known, summary));
      }
      return { channels: all };
    });
  }

  /** Reads whom the caller has blocked; keeps what is known where that fails. */
  async loadBlocked(): Promise<void> {
    const blocked = new Set<string>();
    let cursor: string | undefined;
    do {
      const page: Page<Person> | null = await this.#api.blocks(cursor).catch(() => null);
      if (page === null) return;
      this.learn(page.items);
      for (const { user } of page.items) blocked.add(user);
      cursor = page.next;
    } while (cursor !== undefined);
    this.#store.update(() => ({ blocked }));
  }

  /** Blocks a person, or lifts it. Rejects with `Problem`. */
  async setBlocked(user: string, blocked: boolean): Promise<void> {
    await (blocked ? this.#api.blockPeer(user) : this.#api.unblockPeer(user));
    this.#store.update((s) => {
      const changed = new Set(s.blocked);
      if (blocked) changed.add(user);
      else changed.delete(user);
      return { blocked: changed };
    });
  }

  start(): void {
    this.#stopped = false;
  }

  stop(): void {
    this.#stopped = true;
    this.#retry?.();
  }
}
