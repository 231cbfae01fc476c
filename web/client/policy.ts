/**
 * Owns what a role may do in a kind of channel, so that nobody is offered what the server refuses. The server judges; this repeats
 * its table (`docs/permissions.md`), and a test holds the two together.
 */
import type { Kind, Role } from "./frames";

/** Lowest first. */
export const roles: readonly Role[] = ["reader", "member", "moderator", "owner"];

const kinds: readonly Kind[] = ["direct", "group", "public", "broadcast", "qa"];

/** The lowest role that may, by kind in the order of `kinds`; null for nobody. */
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
  leave: [null, "reader", "reader", "reader", "reader"],
} as const satisfies Record<string, readonly (Role | null)[]>;

export type Action = keyof typeof table;

/** Whose lowest role the action needs; null for nobody. */
export function needed(action: Action, kind: Kind): Role | null {
  return table[action][kinds.indexOf(kind)] ?? null;
}

export function may(action: Action, { kind, role }: { kind: Kind; role: Role }): boolean {
  const lowest = needed(action, kind);
  return lowest !== null && roles.indexOf(role) >= roles.indexOf(lowest);
}

/** Nobody acts on a member who stands above them. */
export function reaches(actor: Role, target: Role): boolean {
  return roles.indexOf(actor) >= roles.indexOf(target);
}

/** Nobody grants a role above their own. */
export function grantable(actor: Role): readonly Role[] {
  return roles.slice(0, roles.indexOf(actor) + 1).reverse();
}
