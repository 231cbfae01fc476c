/** `@hubbub/client/bots`: bots, their tokens, and incoming webhooks in the HTTP API. */
import type { Http, Page } from "./index.js";

/** What the token of a bot may permit. */
export const botScopes = ["read", "write", "react", "upload", "manage", "moderate"] as const;
/** One of `botScopes`. */
export type BotScope = (typeof botScopes)[number];

/** A user that is a program. Times are RFC 3339, UTC. */
export interface Bot {
  user: string;
  name: string;
  disabled: boolean;
  /** The channel of an incoming webhook; null for a bot that has tokens. */
  channel: string | null;
  creator: string;
  created_at: string;
}

/** A token of a bot, without its secret. */
export interface BotToken {
  id: string;
  name: string;
  scopes: readonly BotScope[];
  creator: string;
  created_at: string;
  expires_at: string | null;
  /** The day of the last use in UTC. */
  used_on: string | null;
}

/** An incoming webhook, without its address. */
export interface Hook {
  /** The user id of its bot. */
  id: string;
  name: string;
  disabled: boolean;
  creator: string;
  created_at: string;
  used_on: string | null;
}

/** The token that `createBotToken` creates. */
export interface NewBotToken {
  name: string;
  scopes: readonly BotScope[];
  /** Absent for no end. */
  seconds?: number;
}

/** Whether the id is a bot's; no other user has such an id. */
export function isBot(user: string): boolean {
  return user.startsWith("bot:");
}

/** Every function rejects with `Problem`. */
export function botsApi({ request }: Http) {
  const id = encodeURIComponent;
  const bot = (user: string) => `/v1/admin/bots/${id(user)}`;
  const hooks = (channel: string) => `/v1/channels/${id(channel)}/hooks`;
  return {
    /** Only administrators may call this and the next five. */
    bots: (cursor?: string) => request<Page<Bot>>("/v1/admin/bots", { query: { cursor } }),
    createBot: (name: string) => request<Bot>("/v1/admin/bots", { method: "POST", body: { name } }),
    changeBot: (user: string, body: { name?: string; disabled?: boolean }) => request<Bot>(bot(user), { method: "PATCH", body }),
    botTokens: async (user: string) => (await request<Page<BotToken>>(`${bot(user)}/tokens`)).items,
    /** `token` is in this answer and nowhere else. */
    createBotToken: (user: string, body: NewBotToken) => request<BotToken & { token: string }>(`${bot(user)}/tokens`, { method: "POST", body }),
    revokeBotToken: (user: string, token: string) => request<undefined>(`${bot(user)}/tokens/${id(token)}`, { method: "DELETE" }),
    /** Only owners of the channel may call this and the next three. */
    hooks: async (channel: string) => (await request<Page<Hook>>(hooks(channel))).items,
    /** `path` is in this answer and nowhere else. */
    createHook: (channel: string, name: string) => request<Hook & { path: string }>(hooks(channel), { method: "POST", body: { name } }),
    rotateHook: (channel: string, hook: string) => request<Hook & { path: string }>(`${hooks(channel)}/${id(hook)}/rotate`, { method: "POST" }),
    removeHook: (channel: string, hook: string) => request<undefined>(`${hooks(channel)}/${id(hook)}`, { method: "DELETE" }),
  };
}
