/** Owns the shapes and names of moderation over HTTP: silences, bans, reports, blocks, the audit log. Leaves who may to `policy`. */
import type { Person } from "./api";
import type { Message } from "./frames";
import type { Http } from "./http";

export interface Report {
  id: string;
  message: string;
  sender: string;
  /** As it stood when it was reported. */
  text: string;
  reporter: string;
  reason: string;
  at: string;
  /** The message and its neighbours, as they stand now. */
  context: readonly Message[];
}

export interface AuditRecord {
  number: number;
  at: string;
  actor: string;
  action: string;
  channel: string | null;
  subject: string | null;
  /** JSON. */
  details: string;
  previous: string;
  digest: string;
}

export interface Page<T> {
  items: readonly T[];
  next?: string;
}

export interface Sanction {
  reason: string;
  /** Without an end where it may be. */
  seconds?: number;
}

/** Every function rejects with `Problem`. */
export function moderationApi({ ask, bytes }: Http) {
  const id = encodeURIComponent;
  const channel = (name: string) => `/v1/channels/${id(name)}`;
  const put = (path: string, body?: unknown) => ask<undefined>(path, { method: "PUT", ...(body === undefined ? {} : { body }) });
  const lift = (path: string) => ask<undefined>(path, { method: "DELETE" });
  return {
    ban: (where: string, user: string, sanction: Sanction) => put(`${channel(where)}/bans/${id(user)}`, sanction),
    unban: (where: string, user: string) => lift(`${channel(where)}/bans/${id(user)}`),
    silence: (where: string, user: string, sanction: Required<Sanction>) => put(`${channel(where)}/silences/${id(user)}`, sanction),
    unsilence: (where: string, user: string) => lift(`${channel(where)}/silences/${id(user)}`),
    report: (where: string, message: string, reason: string) =>
      ask<{ id: string }>(`${channel(where)}/messages/${id(message)}/reports`, { method: "POST", body: { reason } }),
    reports: (where: string, cursor?: string) => ask<Page<Report>>(`${channel(where)}/reports`, { query: { cursor } }),
    resolve: (where: string, report: string, resolution: "dismissed" | "acted") =>
      ask<undefined>(`${channel(where)}/reports/${id(report)}/resolve`, { method: "POST", body: { resolution } }),
    blocks: (cursor?: string) => ask<Page<Person>>("/v1/me/blocks", { query: { cursor } }),
    blockPeer: (user: string) => put(`/v1/me/blocks/${id(user)}`),
    unblockPeer: (user: string) => lift(`/v1/me/blocks/${id(user)}`),
    /** For administrators, as everything below. Pages by `number`. */
    audit: (after: number, limit: number) => ask<Page<AuditRecord>>("/v1/admin/audit", { query: { after, limit } }),
    auditExport: () => bytes("/v1/admin/audit/export"),
    blockUser: (user: string) => put(`/v1/admin/users/${id(user)}/block`),
    unblockUser: (user: string) => lift(`/v1/admin/users/${id(user)}/block`),
    revokeUser: (user: string) => ask<undefined>(`/v1/admin/users/${id(user)}/revoke`, { method: "POST" }),
  };
}
