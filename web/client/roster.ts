/**
 * The loaded part of a channel's member list: the first pages, by role and name as the server sorts them. Pure functions.
 * Only the panel that shows the list loads more of it; events change it in place.
 */
import type { LogEvent } from "./frames";
import type { Member, MemberPage, Role } from "./shapes";

/** The loaded part of a channel's member list. */
export interface Roster {
  members: readonly Member[];
  /** Where the next page begins; null if the list is complete. */
  next: string | null;
}

const rank: Record<Role, number> = { owner: 0, moderator: 1, member: 2, reader: 3 };

export function fromPage(page: MemberPage, before: readonly Member[] = []): Roster {
  const known = new Set(before.map(({ user }) => user));
  return { members: [...before, ...page.items.filter(({ user }) => !known.has(user))], next: page.next ?? null };
}

/** The list after an event about a member, whose name is `name` if it is known. */
export function applyMemberEvent(roster: Roster, event: LogEvent, name: string | null): Roster {
  switch (event.kind) {
    case "member.joined":
    case "member.role_changed":
      return placed(without(roster, event.data.user), { user: event.data.user, name, role: event.data.role });
    case "member.left":
    case "member.removed":
      return without(roster, event.data.user);
    default:
      return roster;
  }
}

function without(roster: Roster, user: string): Roster {
  return { ...roster, members: roster.members.filter((member) => member.user !== user) };
}

/** Puts a member in their place. Where that lies beyond what is loaded, the next page has them. */
function placed(roster: Roster, member: Member): Roster {
  const at = roster.members.findIndex((other) => compare(member, other) < 0);
  if (at === -1) return roster.next === null ? { ...roster, members: [...roster.members, member] } : roster;
  return { ...roster, members: [...roster.members.slice(0, at), member, ...roster.members.slice(at)] };
}

function compare(a: Member, b: Member): number {
  const [nameOfA, nameOfB] = [sortName(a), sortName(b)];
  return rank[a.role] - rank[b.role] || (nameOfA < nameOfB ? -1 : nameOfA > nameOfB ? 1 : a.user < b.user ? -1 : 1);
}

function sortName({ name, user }: Member): string {
  return (name ?? user).toLowerCase();
}
