/** `@hubbub/client/integrations`: slash commands, actions in messages, and outgoing webhooks in the HTTP API. */
import type { Http, Page } from "./index.js";

/** A slash command. */
export interface SlashCommand {
  name: string;
  description: string;
  /** What to type after the name, such as "[city]". */
  hint: string;
  /** The user id of the bot that answers. */
  bot: string;
}

/** Where an answer is seen: by the caller alone, in the channel as a new message, in the changed message, or not yet. */
export interface Answer {
  visibility: "caller" | "channel" | "message" | "later";
  /** With `caller`. */
  text?: string;
  /** The id of the message, with `channel` and `message`. */
  message?: string;
}

/** A choice of a button or an option. */
export interface Action {
  /** The block's id. */
  block: string;
  value: string;
  /** The same for each repeat of one choice. */
  key: string;
}

/** What an administrator decides about a webhook. An empty list means all. */
export interface WebhookSettings {
  url: string;
  description?: string;
  events?: readonly string[];
  channel_kinds?: readonly string[];
  channels?: readonly string[];
}

/** A webhook, without its secret. Times are RFC 3339, UTC. */
export interface Webhook extends Required<WebhookSettings> {
  id: string;
  state: "active" | "disabled" | "suspended";
  /** Why it is not active; empty if it is. */
  reason: "" | "requested" | "gone" | "failing" | "backlog";
  created_by: string;
  created_at: string;
  /** Deliveries that wait. */
  waiting: number;
  /** Dead letters. */
  dead: number;
}

/** One event for one webhook. */
export interface Delivery {
  id: string;
  channel: string;
  seq: number;
  event: string;
  state: "waiting" | "delivered" | "dead";
  attempts: number;
  created_at: string;
  /** The HTTP status of the last answer; 0 without one. */
  status: number;
  /** How the last attempt ended; empty before the first. */
  outcome: string;
}

/** Every function rejects with `Problem`. */
export function integrationsApi({ request, list }: Http) {
  const id = encodeURIComponent;
  const webhook = (hook: string) => `/v1/admin/webhooks/${id(hook)}`;
  return {
    commands: () => list<SlashCommand>("/v1/commands"),
    /** Asks the command's endpoint. A repeat with the same `key` never posts twice. */
    runCommand: (channel: string, body: { command: string; text: string; key: string }) =>
      request<Answer>(`/v1/channels/${id(channel)}/commands`, { method: "POST", body }),
    /** Asks the endpoint of the message's bot. A repeat with the same `key` never posts twice. */
    runAction: (channel: string, message: string, body: Action) =>
      request<Answer>(`/v1/channels/${id(channel)}/messages/${id(message)}/actions`, { method: "POST", body }),
    /** Only administrators may call this and the next seven. */
    webhooks: () => list<Webhook>("/v1/admin/webhooks"),
    /** `secret` is in this answer and nowhere else. */
    createWebhook: (body: WebhookSettings) => request<{ webhook: Webhook; secret: string }>("/v1/admin/webhooks", { method: "POST", body }),
    changeWebhook: (hook: string, body: { enabled: boolean }) => request<Webhook>(webhook(hook), { method: "PATCH", body }),
    deleteWebhook: (hook: string) => request<undefined>(webhook(hook), { method: "DELETE" }),
    /** `secret` is in this answer and nowhere else. */
    rotateSecret: (hook: string) => request<{ webhook: Webhook; secret: string }>(`${webhook(hook)}/secret`, { method: "POST", body: {} }),
    /** Newest first. */
    deliveries: (hook: string, cursor?: string) => request<Page<Delivery>>(`${webhook(hook)}/deliveries`, { query: { cursor } }),
    /** With the beginning of the last answer. */
    delivery: (hook: string, delivery: string) => request<Delivery & { answer: string }>(`${webhook(hook)}/deliveries/${id(delivery)}`),
    /** Sends one dead letter again, or all. */
    resend: (hook: string, delivery?: string) => request<{ count: number }>(`${webhook(hook)}/resend`, { method: "POST", body: delivery === undefined ? {} : { delivery } }),
  };
}
