/** Owns reading about channels and people over HTTP into the store: names, members, the channel list. Leaves the log to `client`. */
import type { Api } from "./api";
import * as channels from "./channel";
import type { Cancel, Clock } from "./clock";
import type { ChannelSummary } from "./frames";
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

  start(): void {
    this.#stopped = false;
  }

  stop(): void {
    this.#stopped = true;
    this.#retry?.();
  }
}
