/**
 * `@hubbub/client/people`: member lists, display names, invitations and blocked users, loaded over HTTP into the client's state.
 * Create one `People` for a client before the client starts.
 */
import { Problem } from "./index.js";
import type { ChannelSummary, Http, HubbubClient, Invitation, LogEvent, Member, MemberPage, Person, Role, Roster } from "./index.js";
import { applyMemberEvent, fromPage } from "./roster";

/** Members that a search shows. */
const foundMax = 50;

/** The resources of people in the HTTP API. Every function rejects with `Problem`. */
export function peopleApi({ request, list }: Http) {
  const segment = encodeURIComponent;
  const channel = (id: string) => `/v1/channels/${segment(id)}`;
  const block = (user: string) => `/v1/me/blocks/${segment(user)}`;
  return {
    /** Users of the tenant whose id or name contains `q`. */
    find: (q: string, limit = 20) => list<Person>("/v1/users", { q, limit }),
    changeRole: (id: string, user: string, role: Role) =>
      request<Member>(`${channel(id)}/members/${segment(user)}`, { method: "PATCH", body: { role } }),
    invitations: () => list<Invitation>("/v1/me/invitations"),
    accept: (id: string) => request<ChannelSummary>(`${channel(id)}/accept`, { method: "POST" }),
    /** The invitation cannot be repeated. */
    decline: (id: string) => request<undefined>(`${channel(id)}/decline`, { method: "POST" }),
    /** The users whom the caller has blocked. */
    blocks: () => list<Person>("/v1/me/blocks"),
    block: (user: string) => request<undefined>(block(user), { method: "PUT" }),
    unblock: (user: string) => request<undefined>(block(user), { method: "DELETE" }),
  };
}

/** Members, names, invitations and blocked users of one client. */
export class People {
  readonly api: ReturnType<typeof peopleApi>;
  readonly #client: HubbubClient;
  /** Users whose names were asked for. */
  readonly #asked = new Set<string>();
  /** How many events about members came. */
  #memberEvents = 0;

  constructor(client: HubbubClient) {
    this.#client = client;
    this.api = peopleApi(client.http);
    client.on("opened", (channel) => void (channel !== null && this.loadMembers(channel)));
    client.on("event", (event) => this.#applied(event));
    client.on("invited", (invitation) => this.#invited(invitation));
  }

  /** Loads the first page of a channel's members. Keeps the known ones if that fails. */
  loadMembers(channel: string): Promise<void> {
    return this.#loadMembers(channel, null);
  }

  /** Loads the next page of a channel's members. Does nothing where all are loaded. */
  async moreMembers(channel: string): Promise<void> {
    const known = this.#client.store.get().members.get(channel);
    if (known !== undefined && known.next !== null) await this.#loadMembers(channel, known);
  }

  /** Finds members whose names begin with `query`. Rejects with `Problem`. */
  async findMembers(channel: string, query: string): Promise<readonly Member[]> {
    const page = await this.#client.api.members(channel, { q: query, limit: foundMax });
    this.addNames(page.items);
    return page.items;
  }

  /** Stores display names. */
  addNames(people: readonly Person[]): void {
    this.#client.directory.addNames(people);
  }

  /** Loads the name of a member, once: in large channels most members are not among the loaded ones. */
  async loadName(channel: string, user: string): Promise<void> {
    if (this.#asked.has(user)) return;
    this.#asked.add(user);
    const page = await this.#client.api.members(channel, { user }).catch(() => null);
    if (page === null) this.#asked.delete(user);
    else this.addNames(page.items);
  }

  /** Loads the caller's invitations. Keeps the known ones if that fails. */
  async loadInvitations(): Promise<void> {
    const invitations = await this.api.invitations().catch(() => null);
    if (invitations !== null) this.#client.store.update(() => ({ invitations }));
  }

  /** Accepts or declines an invitation; returns the channel that was joined. Rejects with `Problem`. */
  async answerInvitation(channel: string, accept: boolean): Promise<ChannelSummary | null> {
    const joined = accept ? await this.api.accept(channel) : (await this.api.decline(channel), null);
    this.#client.store.update((s) => ({ invitations: s.invitations.filter((one) => one.channel !== channel) }));
    return joined;
  }

  /** Loads the users whom the caller has blocked. Keeps the known ones if that fails. */
  async loadBlocked(): Promise<void> {
    const blocked = await this.api.blocks().catch(nullOnProblem);
    if (blocked === null) return;
    this.addNames(blocked);
    this.#client.store.update(() => ({ blocked: new Set(blocked.map(({ user }) => user)) }));
  }

  /** Blocks or unblocks a user. Rejects with `Problem`. */
  async setBlocked(user: string, blocked: boolean): Promise<void> {
    await (blocked ? this.api.block(user) : this.api.unblock(user));
    this.#client.store.update((s) => {
      const changed = new Set(s.blocked);
      if (blocked) changed.add(user);
      else changed.delete(user);
      return { blocked: changed };
    });
  }

  async #loadMembers(channel: string, known: Roster | null): Promise<void> {
    const { api, store } = this.#client;
    const events = this.#memberEvents;
    const page: MemberPage | null = await api.members(channel, known?.next == null ? {} : { cursor: known.next }).catch(nullOnProblem);
    if (events !== this.#memberEvents && page !== null) return this.#loadMembers(channel, known); // the page may be older than an event
    const found = store.get().channels.get(channel);
    if (page === null || found === undefined) return;
    this.addNames(page.items);
    store.update((s) => ({
      members: new Map(s.members).set(channel, fromPage(page, known === null ? [] : s.members.get(channel)?.members)),
      channels: new Map(s.channels).set(channel, { ...found, members: page.total }),
    }));
  }

  /** Changes the loaded part of a member list by an event of the channel's log. */
  #applied(event: LogEvent): void {
    if (!event.kind.startsWith("member.")) return;
    this.#memberEvents += 1;
    const { members, names } = this.#client.store.get();
    const roster = members.get(event.channel);
    if (roster === undefined) return;
    const user = "user" in event.data ? event.data.user : "";
    const changed = applyMemberEvent(roster, event, names.get(user) ?? null);
    this.#client.store.update((s) => ({ members: new Map(s.members).set(event.channel, changed) }));
    if (event.kind === "member.joined" && !names.has(user)) void this.loadName(event.channel, user);
  }

  #invited(invitation: Invitation): void {
    this.#client.store.update((s) => ({
      invitations: [...s.invitations.filter((one) => one.channel !== invitation.channel), invitation],
    }));
  }
}

function nullOnProblem(error: unknown): null {
  if (error instanceof Problem) return null;
  throw error;
}
