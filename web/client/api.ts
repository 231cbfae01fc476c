/** The resources of the HTTP API as typed functions. */
import { botsApi } from "./bots";
import { createHttp, Problem } from "./http";
import type { HttpOptions } from "./http";
import { moderationApi } from "./moderation";
import type { Added, BrowserSession, ChannelSummary, CreatedChannel, Invitation, Kind, Me, Member, MemberPage, Message, MessageRange, Page, Person, Role } from "./shapes";

export interface NewChannel {
  kind: Kind;
  name?: string;
  members?: readonly string[];
  history?: "all" | "joined";
}

export interface UploadTicket {
  id: string;
  state: string;
  upload: { method: string; url: string; headers: Record<string, string>; fields?: Record<string, string> };
}

export interface UploadState {
  id: string;
  state: "pending" | "scanning" | "clean" | "blocked" | "failed";
  reason?: string;
  name: string;
  size: number;
  type: string;
  width?: number | null;
  height?: number | null;
}

/** The most messages that one answer holds. */
const pageMax = 200;

export type Api = ReturnType<typeof createApi>;

/** Every function rejects with `Problem`. */
export function createApi(options: HttpOptions) {
  const http = createHttp(options);
  const { request, download } = http;
  /** Follows `next` to the end, unless `query` has a limit. */
  const list = async <T>(path: string, query: Record<string, string | number | undefined> = {}) => {
    const all: T[] = [];
    let cursor: string | undefined;
    do {
      const page: Page<T> = await request<Page<T>>(path, { query: { ...query, cursor } });
      all.push(...page.items);
      cursor = page.next;
    } while (cursor !== undefined && query["limit"] === undefined);
    return all as readonly T[];
  };
  const channel = (id: string) => `/v1/channels/${encodeURIComponent(id)}`;
  const member = (id: string, user: string) => `${channel(id)}/members/${encodeURIComponent(user)}`;
  return {
    me: () => request<Me>("/v1/me"),
    people: (q: string, limit = 20) => list<Person>("/v1/users", { q, limit }),
    ticket: () => request<{ ticket: string; expires_in: number }>("/v1/tickets", { method: "POST" }),
    channels: (cursor?: string, limit?: number) => request<Page<ChannelSummary>>("/v1/channels", { query: { cursor, limit } }),
    /** Channels of the caller, or with `joinable` public channels that the caller has not joined, by part of their name. */
    findChannels: async (q: string, limit: number, joinable = false) =>
      (await request<Page<ChannelSummary>>("/v1/channels", { query: { q, limit, ...(joinable && { joinable: 1 }) } })).items,
    /** The tenant's public channels that the caller has not joined. */
    joinable: () => list<ChannelSummary>("/v1/channels", { joinable: 1 }),
    channel: (id: string) => request<ChannelSummary>(channel(id)),
    createChannel: (body: NewChannel) => request<CreatedChannel>("/v1/channels", { method: "POST", body }),
    changeChannel: (id: string, body: { name?: string; topic?: string; slow_mode_seconds?: number }) =>
      request<ChannelSummary>(channel(id), { method: "PATCH", body }),
    join: (id: string) => request<ChannelSummary>(`${channel(id)}/join`, { method: "POST" }),
    invitations: () => list<Invitation>("/v1/me/invitations"),
    accept: (id: string) => request<ChannelSummary>(`${channel(id)}/accept`, { method: "POST" }),
    decline: (id: string) => request<undefined>(`${channel(id)}/decline`, { method: "POST" }),
    /** The browsers in which the caller is signed in, the last used first. */
    sessions: () => list<BrowserSession>("/v1/me/sessions"),
    endSession: (id: string) => request<undefined>(`/v1/me/sessions/${encodeURIComponent(id)}`, { method: "DELETE" }),
    /** Ends all sessions but the current one. */
    endOtherSessions: () => request<undefined>("/v1/me/sessions", { method: "DELETE" }),
    /** A page of the members, or of those whose names begin with `q`; or the one member `user`. */
    members: (id: string, query: { q?: string; user?: string; cursor?: string; limit?: number } = {}) =>
      request<MemberPage>(`${channel(id)}/members`, { query }),
    addMembers: (id: string, users: readonly string[]) =>
      request<Added>(`${channel(id)}/members`, { method: "POST", body: { users } }),
    removeMember: (id: string, user: string) => request<undefined>(member(id, user), { method: "DELETE" }),
    changeRole: (id: string, user: string, role: Role) =>
      request<Member>(member(id, user), { method: "PATCH", body: { role } }),
    mute: (id: string, muted: boolean) => request<ChannelSummary>(`${channel(id)}/mute`, { method: "PUT", body: { muted } }),
    messages: async (id: string, query: MessageRange) =>
      (await request<Page<Message>>(`${channel(id)}/messages`, { query: { ...query } })).items,
    /** A message and its replies, newest first. */
    thread: async (id: string, message: string) =>
      (await request<Page<Message>>(`${channel(id)}/messages`, { query: { thread: message, limit: pageMax } })).items,
    pinned: async (id: string) => (await request<Page<Message>>(`${channel(id)}/messages`, { query: { pinned: 1, limit: pageMax } })).items,
    /** Messages that contain the words, newest first, in one channel or in every channel that the caller may read. */
    search: (q: string, where: { channel?: string; cursor?: string; limit?: number }) => request<Page<Message>>("/v1/search", { query: { q, ...where } }),
    createUpload: (body: { name: string; size: number; type: string; channel: string }) =>
      request<UploadTicket>("/v1/uploads", { method: "POST", body }),
    completeUpload: (id: string) => request<UploadState>(`/v1/uploads/${encodeURIComponent(id)}/complete`, { method: "POST" }),
    /** The file, or its thumbnail. Rejects with 409 until the file is found clean. */
    media: (id: string, variant?: "thumb") => download(`/v1/media/${encodeURIComponent(id)}`, { query: { variant } }),
    upload: (id: string) => request<UploadState>(`/v1/uploads/${encodeURIComponent(id)}`),
    ...moderationApi(http),
    ...botsApi(http),
  };
}

export interface DevLogin {
  user: string;
  name?: string;
  tenant?: string;
  roles?: readonly string[];
  ttl?: number;
}

/** Returns null where the server has no development login. */
export async function devLogin(options: Omit<HttpOptions, "token">, login: DevLogin) {
  const { request } = createHttp({ ...options, token: () => null });
  try {
    return await request<{ token: string; expires_in: number }>("/v1/dev/login", { method: "POST", body: login });
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}
