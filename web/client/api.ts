/** Owns the names of the HTTP API's resources as typed functions; leaves transport and errors to `http`. */
import type { ChannelSummary, Kind, Member, Message, Role } from "./frames";
import type { PageQuery } from "./history";
import { createHttp, Problem } from "./http";
import type { HttpOptions } from "./http";
import { moderationApi } from "./moderation";
import type { Page } from "./moderation";

export interface Me {
  user: string;
  tenant: string;
  name: string | null;
  roles: readonly string[];
}

export interface Person {
  user: string;
  name: string | null;
}

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

/** As many messages as one answer holds. */
const pageMax = 200;

export type Api = ReturnType<typeof createApi>;

/** Every function rejects with `Problem`. */
export function createApi(options: HttpOptions) {
  const http = createHttp(options);
  const { ask, bytes } = http;
  const items = async <T>(path: string, query: Record<string, string | number | undefined> = {}) => {
    const all: T[] = [];
    let cursor: string | undefined;
    do {
      const page: Page<T> = await ask<Page<T>>(path, { query: { ...query, cursor } });
      all.push(...page.items);
      cursor = page.next;
    } while (cursor !== undefined && query["limit"] === undefined);
    return all as readonly T[];
  };
  const channel = (id: string) => `/v1/channels/${encodeURIComponent(id)}`;
  const member = (id: string, user: string) => `${channel(id)}/members/${encodeURIComponent(user)}`;
  return {
    me: () => ask<Me>("/v1/me"),
    people: (q: string, limit = 20) => items<Person>("/v1/users", { q, limit }),
    ticket: () => ask<{ ticket: string; expires_in: number }>("/v1/tickets", { method: "POST" }),
    channels: () => items<ChannelSummary>("/v1/channels"),
    /** Public channels of the tenant that the caller could join. */
    joinable: () => items<ChannelSummary>("/v1/channels", { joinable: 1 }),
    channel: (id: string) => ask<ChannelSummary>(channel(id)),
    createChannel: (body: NewChannel) => ask<ChannelSummary>("/v1/channels", { method: "POST", body }),
    changeChannel: (id: string, body: { name?: string; topic?: string; slow_mode_seconds?: number }) =>
      ask<ChannelSummary>(channel(id), { method: "PATCH", body }),
    join: (id: string) => ask<ChannelSummary>(`${channel(id)}/join`, { method: "POST" }),
    members: (id: string) => items<Member>(`${channel(id)}/members`),
    addMembers: (id: string, users: readonly string[]) =>
      ask<Page<Member>>(`${channel(id)}/members`, { method: "POST", body: { users } }),
    removeMember: (id: string, user: string) => ask<undefined>(member(id, user), { method: "DELETE" }),
    changeRole: (id: string, user: string, role: Role) =>
      ask<Member>(member(id, user), { method: "PATCH", body: { role } }),
    mute: (id: string, muted: boolean) => ask<ChannelSummary>(`${channel(id)}/mute`, { method: "PUT", body: { muted } }),
    messages: async (id: string, query: PageQuery) =>
      (await ask<Page<Message>>(`${channel(id)}/messages`, { query: { ...query } })).items,
    /** A message and what was answered to it, newest first. */
    thread: async (id: string, message: string) =>
      (await ask<Page<Message>>(`${channel(id)}/messages`, { query: { thread: message, limit: pageMax } })).items,
    pinned: async (id: string) => (await ask<Page<Message>>(`${channel(id)}/messages`, { query: { pinned: 1, limit: pageMax } })).items,
    /** What holds the words, newest first, in one channel or in all that the caller may read. */
    search: (q: string, where: { channel?: string; cursor?: string; limit?: number }) => ask<Page<Message>>("/v1/search", { query: { q, ...where } }),
    createUpload: (body: { name: string; size: number; type: string; channel: string }) =>
      ask<UploadTicket>("/v1/uploads", { method: "POST", body }),
    completeUpload: (id: string) => ask<UploadState>(`/v1/uploads/${encodeURIComponent(id)}/complete`, { method: "POST" }),
    /** The file itself, or its small picture. 409 while it is not clean. */
    media: (id: string, variant?: "thumb") => bytes(`/v1/media/${encodeURIComponent(id)}`, { query: { variant } }),
    upload: (id: string) => ask<UploadState>(`/v1/uploads/${encodeURIComponent(id)}`),
    ...moderationApi(http),
  };
}

export interface DevLogin {
  user: string;
  name?: string;
  tenant?: string;
  roles?: readonly string[];
  ttl?: number;
}

/** Only where the server runs with its development login; elsewhere it answers 404 and this returns null. */
export async function devLogin(options: Omit<HttpOptions, "token">, login: DevLogin) {
  const { ask } = createHttp({ ...options, token: () => null });
  try {
    return await ask<{ token: string; expires_in: number }>("/v1/dev/login", { method: "POST", body: login });
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}
