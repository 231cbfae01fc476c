/** The client's table of permissions equals the server's. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

import { grantableRoles, lowestRole, may, mayModerate, roles } from "../client/policy";
import type { Action } from "../client/policy";
import type { Kind } from "../client/shapes";

/** The rows of `docs/permissions.md` and the actions they stand for. */
const rows: Readonly<Record<string, Action>> = {
  post: "post",
  "post without waiting in slow mode": "skip slow mode",
  "delete another member's message": "delete others",
  react: "react",
  "pin and unpin": "pin",
  "change name, topic or slow mode": "change",
  "add people": "add",
  "change a member's role": "change roles",
  "remove, ban and unban people": "remove",
  "report a message to the moderators": "report",
  "see and resolve reports": "see reports",
  "silence a member for a while, and lift it": "silence",
  "create, list, rotate and remove incoming webhooks": "manage webhooks",
  leave: "leave",
};
/** Every member may do these, so the client has no table for them. */
const unrestricted = ["read", "edit one's own message", "delete one's own message"];

test("the table is the server's", () => {
  const page = readFileSync(new URL("../../docs/permissions.md", import.meta.url), "utf8");
  const lines = page.split("\n").filter((line) => line.startsWith("| ") && line.split("|").length === 8);
  const [head = "", ...body] = lines.map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  const kinds = (head as string[]).slice(1).map((cell) => cell.replaceAll("`", "")) as Kind[];
  const seen = body.filter(([name = ""]) => !unrestricted.includes(name)).map(([name = "", ...cells]) => {
    const action = rows[name];
    expect(action, name).toBeDefined();
    if (action !== undefined) expect(kinds.map((kind) => lowestRole(action, kind)), name).toEqual(cells.map((cell) => roles.find((role) => role === cell) ?? null));
    return name;
  });
  expect(seen.sort()).toEqual(Object.keys(rows).sort());
});

test("a role may do what a lower role may; some actions no role may do", () => {
  expect(roles.map((role) => may("pin", { kind: "public", role }))).toEqual([false, false, true, true]);
  expect(roles.some((role) => may("remove", { kind: "direct", role }))).toBe(false);
});

test("members act only on roles up to their own, and grant none above it", () => {
  expect([mayModerate("moderator", "owner"), mayModerate("moderator", "moderator"), mayModerate("owner", "owner")]).toEqual([false, true, true]);
  expect(grantableRoles("moderator")).toEqual(["moderator", "member", "reader"]);
});
