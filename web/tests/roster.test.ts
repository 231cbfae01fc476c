import { describe, expect, test } from "vitest";

import { applyMemberEvent, fromPage } from "../client/roster";
import type { LogEvent } from "../client/frames";
import type { Member, Role } from "../client/shapes";

const member = (user: string, role: Role = "member"): Member => ({ user, name: user, role });
const page = (users: readonly Member[], next?: string) => ({ items: users, total: 9, ...(next === undefined ? {} : { next }) });
const event = (kind: string, user: string, role?: Role) =>
  ({ type: "event", channel: "c", seq: 1, kind, actor: user, at: "", data: { user, role } }) as unknown as LogEvent;
const users = (roster: { members: readonly Member[] }) => roster.members.map(({ user }) => user);

describe("the loaded part of a member list", () => {
  const roster = fromPage(page([member("zoe", "owner"), member("ann"), member("cid")]));

  test("a newcomer is put in the server's order", () => {
    expect(users(applyMemberEvent(roster, event("member.joined", "bob", "member"), "Bob"))).toEqual(["zoe", "ann", "bob", "cid"]);
    expect(users(applyMemberEvent(roster, event("member.joined", "eve", "member"), null))).toEqual(["zoe", "ann", "cid", "eve"]);
  });

  test("a newcomer beyond what is loaded is left to the next page", () => {
    const first = fromPage(page([member("ann")], "cursor"));
    expect(users(applyMemberEvent(first, event("member.joined", "bob", "member"), "Bob"))).toEqual(["ann"]);
  });

  test("a new role moves a member, and leaving removes one", () => {
    expect(users(applyMemberEvent(roster, event("member.role_changed", "cid", "moderator"), "cid"))).toEqual(["zoe", "cid", "ann"]);
    for (const kind of ["member.left", "member.removed"]) expect(users(applyMemberEvent(roster, event(kind, "ann"), null))).toEqual(["zoe", "cid"]);
  });

  test("a member who is on two pages, because others left meanwhile, is listed once", () => {
    const first = fromPage(page([member("ann"), member("bob")], "cursor"));
    expect(users(fromPage(page([member("bob"), member("cid")]), first.members))).toEqual(["ann", "bob", "cid"]);
  });

  test("events about messages change nothing", () => {
    expect(applyMemberEvent(roster, event("message.posted", "ann"), null)).toBe(roster);
  });
});
