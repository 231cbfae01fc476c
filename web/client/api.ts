/** The resources of the HTTP API that belong to channels and messages, as typed functions. */
import { createHttp } from "./http";
import type { Http, HttpOptions } from "./http";
import type { Added, ChannelSummary, CreatedChannel, Kind, Me, MemberPage, Message, MessageRange, Page } from "./shapes";
import type { LogEvent } from "./frames";

/** The channel that `createChannel` creates. */
export interface NewChannel {
  kind: Kind;
  /** At most 128 characters; none for `direct`. */
  name?: string;
  /** User ids: at most 200; exactly one other user for `direct`. */
  members?: readonly string[];
  /** Whether members may read what was written before they joined: `all`, the default, or `joined`. */
  history?: "all" | "joined";
}

/** The most messages that one answer holds. */
const pageMax = 200;

/** Channels and messages over HTTP. */
export type Api = ReturnType<typeof chatApi>;

/** `chatApi` with a new `Http`. */
export function createApi(options: HttpOptions): Api {
  return chatApi(createHttp(options));
}

/** Every function rejects with `Problem`. */
export function chatApi({ request, list, download }: Http) {
  const segment = encodeURIComponent;
  const channel = (id: string) => `/v1/channels/${segment(id)}`;
  const messages = async (id: string, query: Readonly<Record<string, string | number | undefined>>) =>
    (await request<Page<Message>>(`${channel(id)}/messages`, { query })).items;
  return {
    me: () => request<Me>("/v1/me"),
    /** A ticket that opens one socket, within 30 s. */
    ticket: () => request<{ ticket: string; expires_in: number }>("/v1/tickets", { method: "POST" }),
    /** The caller's channels, the most recently active first. */
    channels: (cursor?: string, limit?: number) => request<Page<ChannelSummary>>("/v1/channels", { query: { cursor, limit } }),
    /** Channels of the caller, or with `joinable` public channels that the caller has not joined, by part of their name. */
    findChannels: (q: string, limit: number, joinable = false) => list<ChannelSummary>("/v1/channels", { q, limit, ...(joinable && { joinable: 1 }) }),
    /** The tenant's public channels that the caller has not joined. */
    joinable: () => list<ChannelSummary>("/v1/channels", { joinable: 1 }),
    channel: (id: string) => request<ChannelSummary>(channel(id)),
    /** The same two people always get the same `direct` channel. */
    createChannel: (body: NewChannel) => request<CreatedChannel>("/v1/channels", { method: "POST", body }),
    changeChannel: (id: string, body: { name?: string; topic?: string; slow_mode_seconds?: number }) =>
      request<ChannelSummary>(channel(id), { method: "PATCH", body }),
    join: (id: string) => request<ChannelSummary>(`${channel(id)}/join`, { method: "POST" }),
    mute: (id: string, muted: boolean) => request<ChannelSummary>(`${channel(id)}/mute`, { method: "PUT", body: { muted } }),
    /** A page of the members, or of those whose names begin with `q`; or the one member `user`. */
    members: (id: string, query: { q?: string; user?: string; cursor?: string; limit?: number } = {}) =>
      request<MemberPage>(`${channel(id)}/members`, { query }),
    addMembers: (id: string, users: readonly string[]) => request<Added>(`${channel(id)}/members`, { method: "POST", body: { users } }),
    /** Removes a member; with the caller's own id, leaves. */
    removeMember: (id: string, user: string) => request<undefined>(`${channel(id)}/members/${segment(user)}`, { method: "DELETE" }),
    /** Messages as they are now, newest first. */
    messages: (id: string, range: MessageRange) => messages(id, { ...range }),
    /** A message and its replies, newest first. */
    thread: (id: string, message: string) => messages(id, { thread: message, limit: pageMax }),
    pinned: (id: string) => messages(id, { pinned: 1, limit: pageMax }),
    /** The entries of the log after number `after`, oldest first. */
    events: async (id: string, after: number, limit?: number) =>
      (await request<Page<LogEvent>>(`${channel(id)}/events`, { query: { after, limit } })).items,
    /** Messages that contain the words, newest first, in one channel or in every channel that the caller may read. */
    search: (q: string, where: { channel?: string; cursor?: string; limit?: number }) => request<Page<Message>>("/v1/search", { query: { q, ...where } }),
    /** The file of an attachment, or its thumbnail. Rejects with 409 until the file is found clean. */
    media: (id: string, variant?: "thumb") => download(`/v1/media/${segment(id)}`, { query: { variant } }),
  };
}
