/** Loads channels and people over HTTP into the store: the channel list, members, display names, blocked users. */
import type { Api } from "./api";
import * as channels from "./channel";
import type { Cancel, Clock } from "./clock";
import type { LogEvent } from "./frames";
import { applyMemberEvent, fromPage } from "./roster";
import type { Roster } from "./roster";
import type { ChannelSummary, Invitation, Member, Page, Person } from "./shapes";
import { changeChannel } from "./state";
import type { ClientStore } from "./state";
import { withEntry } from "./store";

const retryMs = 2_000;
/** Channels per page where the caller has more than `hello` lists. */
const pageOfMany = 100;
/** Members that a search shows. */
const foundMax = 50;

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
  /** Users whose names were asked for. */
  readonly #asked = new Set<string>();
  /** How many events about members came. */
  #memberEvents = 0;

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

  /** Loads the first page of a channel's members. Keeps the known ones if that fails. */
  loadMembers(channel: string): Promise<void> {
    return this.#loadMembers(channel, null);
  }

  /** Loads the next page of a channel's members. Does nothing where all are loaded. */
  async moreMembers(channel: string): Promise<void> {
    const known = this.#store.get().members.get(channel);
    if (known !== undefined && known.next !== null) await this.#loadMembers(channel, known);
  }

  async #loadMembers(channel: string, known: Roster | null): Promise<void> {
    const events = this.#memberEvents;
    const page = await this.#api.members(channel, known?.next == null ? {} : { cursor: known.next }).catch(() => null);
    if (events !== this.#memberEvents && page !== null) return this.#loadMembers(channel, known); // the page may be older than an event
    if (page === null || !this.#store.get().channels.has(channel)) return;
    this.addNames(page.items);
    this.#store.update((s) => ({ members: withEntry(s.members, channel, fromPage(page, known === null ? [] : s.members.get(channel)?.members)) }));
    changeChannel(this.#store, channel, (c) => ({ ...c, members: page.total }));
  }

  /** Finds members whose names begin with `query`. Rejects with `Problem`. */
  async findMembers(channel: string, query: string): Promise<readonly Member[]> {
    const page = await this.#api.members(channel, { q: query, limit: foundMax });
    this.addNames(page.items);
    return page.items;
  }

  /** Loads the name of a member, once: in large channels most members are not among the loaded ones. */
  async loadName(channel: string, user: string): Promise<void> {
    if (this.#asked.has(user)) return;
    this.#asked.add(user);
    const page = await this.#api.members(channel, { user }).catch(() => null);
    if (page === null) this.#asked.delete(user);
    else this.addNames(page.items);
  }

  /** Changes the loaded part of a member list by an event of the channel's log. */
  applyMemberEvent(event: LogEvent): void {
    if (!event.kind.startsWith("member.")) return;
    this.#memberEvents += 1;
    const { members, names } = this.#store.get();
    const roster = members.get(event.channel);
    if (roster === undefined) return;
    const user = "user" in event.data ? event.data.user : "";
    this.#store.update((s) => ({ members: withEntry(s.members, event.channel, applyMemberEvent(roster, event, names.get(user) ?? null)) }));
    if (event.kind === "member.joined" && !names.has(user)) void this.loadName(event.channel, user);
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

  /** Loads the caller's invitations. Keeps the known ones if that fails. */
  async loadInvitations(): Promise<void> {
    const invitations = await this.#api.invitations().catch(() => null);
    if (invitations !== null) this.#store.update(() => ({ invitations }));
  }

  /** Adds an invitation that has just come. */
  invited(invitation: Invitation): void {
    this.#store.update((s) => ({ invitations: [...s.invitations.filter((one) => one.channel !== invitation.channel), invitation] }));
  }

  /** Accepts or declines an invitation; returns the channel that was joined. Rejects with `Problem`. */
  async answerInvitation(channel: string, accept: boolean): Promise<ChannelSummary | null> {
    const joined = accept ? await this.#api.accept(channel) : (await this.#api.decline(channel), null);
    this.#store.update((s) => ({ invitations: s.invitations.filter((one) => one.channel !== channel) }));
    return joined;
  }

  /** Loads the users whom the caller has blocked. Keeps the known ones if that fails. */
  async loadBlocked(): Promise<void> {
    const blocked = new Set<string>();
    let cursor: string | undefined;
    do {
      const page: Page<Person> | null = await this.#api.blocks(cursor).catch(() => null);
      if (page === null) return;
      this.addNames(page.items);
      for (const { user } of page.items) blocked.add(user);
      cursor = page.next;
    } while (cursor !== undefined);
    this.#store.update(() => ({ blocked }));
  }

  /** Blocks or unblocks a user. Rejects with `Problem`. */
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
