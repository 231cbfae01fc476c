/**
 * `@hubbub/client/moderation`: the moderation resources of the HTTP API: silences, bans, reports, the audit log. `policy` says who
 * may use them.
 */
import type { Http, Message, Page } from "./index.js";

/** A reported message, for moderators. */
export interface Report {
  id: string;
  message: string;
  sender: string;
  /** The text when it was reported. */
  text: string;
  reporter: string;
  reason: string;
  at: string;
  /** The current state of the message and its neighbours. */
  context: readonly Message[];
}

/** A report about a moderator or owner, for administrators. Its `context` is the message alone. */
export interface TenantReport extends Report {
  channel: string;
}

/** What a moderator or administrator did. */
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

/** A ban or a silence. */
export interface Sanction {
  reason: string;
  /** Absent for no end, which only bans allow. */
  seconds?: number;
}

/** Every function rejects with `Problem`. */
export function moderationApi({ request, download }: Http) {
  const id = encodeURIComponent;
  const channel = (name: string) => `/v1/channels/${id(name)}`;
  const put = (path: string, body?: unknown) => request<undefined>(path, { method: "PUT", ...(body === undefined ? {} : { body }) });
  const lift = (path: string) => request<undefined>(path, { method: "DELETE" });
  return {
    ban: (where: string, user: string, sanction: Sanction) => put(`${channel(where)}/bans/${id(user)}`, sanction),
    unban: (where: string, user: string) => lift(`${channel(where)}/bans/${id(user)}`),
    silence: (where: string, user: string, sanction: Required<Sanction>) => put(`${channel(where)}/silences/${id(user)}`, sanction),
    unsilence: (where: string, user: string) => lift(`${channel(where)}/silences/${id(user)}`),
    report: (where: string, message: string, reason: string) =>
      request<{ id: string }>(`${channel(where)}/messages/${id(message)}/reports`, { method: "POST", body: { reason } }),
    reports: (where: string, cursor?: string) => request<Page<Report>>(`${channel(where)}/reports`, { query: { cursor } }),
    resolve: (where: string, report: string, resolution: "dismissed" | "acted") =>
      request<undefined>(`${channel(where)}/reports/${id(report)}/resolve`, { method: "POST", body: { resolution } }),
    /** Only administrators may call this and everything below. Pages by `number`. */
    audit: (after: number, limit: number) => request<Page<AuditRecord>>("/v1/admin/audit", { query: { after, limit } }),
    tenantReports: (cursor?: string) => request<Page<TenantReport>>("/v1/admin/reports", { query: { cursor } }),
    resolveTenantReport: (report: string, resolution: "dismissed" | "acted") =>
      request<undefined>(`/v1/admin/reports/${id(report)}/resolve`, { method: "POST", body: { resolution } }),
    auditExport: () => download("/v1/admin/audit/export"),
    blockUser: (user: string) => put(`/v1/admin/users/${id(user)}/block`),
    unblockUser: (user: string) => lift(`/v1/admin/users/${id(user)}/block`),
    revokeUser: (user: string) => request<undefined>(`/v1/admin/users/${id(user)}/revoke`, { method: "POST" }),
  };
}
