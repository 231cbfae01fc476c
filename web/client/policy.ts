/**
 * `@hubbub/client/policy`: what each role may do in each kind of channel, so that an app offers only what the server allows. The
 * server decides; this table repeats `docs/permissions.md`, and a test compares the two.
 */
import type { Kind, Role } from "./index.js";

/** Lowest first. */
export const roles: readonly Role[] = ["reader", "member", "moderator", "owner"];

const kinds: readonly Kind[] = ["direct", "group", "public", "broadcast", "qa"];

/** The lowest role that may, for each kind in the order of `kinds`; null where no role may. */
const table = {
  post: ["member", "member", "member", "moderator", "member"],
  "skip slow mode": [null, "moderator", "moderator", "moderator", "moderator"],
  "delete others": [null, "moderator", "moderator", "moderator", "moderator"],
  react: ["member", "member", "member", "member", "member"],
  pin: ["member", "member", "moderator", "moderator", "moderator"],
  change: [null, "member", "moderator", "moderator", "moderator"],
  add: [null, "member", "moderator", "moderator", "moderator"],
  "change roles": [null, "moderator", "moderator", "moderator", "moderator"],
  remove: [null, "moderator", "moderator", "moderator", "moderator"],
  report: [null, "reader", "reader", "reader", "reader"],
  "see reports": [null, "moderator", "moderator", "moderator", "moderator"],
  silence: [null, "moderator", "moderator", "moderator", "moderator"],
  "manage webhooks": [null, "owner", "owner", "owner", "owner"],
  leave: [null, "reader", "reader", "reader", "reader"],
} as const satisfies Record<string, readonly (Role | null)[]>;

/** What the table has a row for. */
export type Action = keyof typeof table;

/** The lowest role that may do it; null where no role may. */
export function lowestRole(action: Action, kind: Kind): Role | null {
  return table[action][kinds.indexOf(kind)] ?? null;
}

/** Whether a member with this role may do it in a channel of this kind. */
export function may(action: Action, { kind, role }: { kind: Kind; role: Role }): boolean {
  const lowest = lowestRole(action, kind);
  return lowest !== null && roles.indexOf(role) >= roles.indexOf(lowest);
}

/** Whether `actor` may moderate `target`: not a member with a higher role. */
export function mayModerate(actor: Role, target: Role): boolean {
  return roles.indexOf(actor) >= roles.indexOf(target);
}

/** The roles that `actor` may grant, highest first: none above their own. */
export function grantableRoles(actor: Role): readonly Role[] {
  return roles.slice(0, roles.indexOf(actor) + 1).reverse();
}
