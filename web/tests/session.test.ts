/** What this browser keeps about its users, and what signing out deletes. */
import { beforeEach, expect, test, vi } from "vitest";

import { localOutbox } from "../client";
import type { OutboxItem } from "../client";

class FakeStorage implements Storage {
  readonly items = new Map<string, string>();
  get length() {
    return this.items.size;
  }
  key = (index: number) => [...this.items.keys()][index] ?? null;
  getItem = (name: string) => this.items.get(name) ?? null;
  setItem = (name: string, value: string) => void this.items.set(name, value);
  removeItem = (name: string) => void this.items.delete(name);
  clear = () => this.items.clear();
}

const item = (key: string): OutboxItem => ({ key, channel: "c", text: "secret", writtenAt: 0, state: { name: "waiting" } });

let local: FakeStorage;
let tab: FakeStorage;

beforeEach(() => {
  local = new FakeStorage();
  tab = new FakeStorage();
  vi.resetModules();
  vi.stubGlobal("window", { localStorage: local, sessionStorage: tab, location: { pathname: "/", hash: "" } });
});

test("signing out deletes the unsent messages of that user and of no other", async () => {
  const { forget, outboxOf, unsentNames } = await import("../app/session/session");
  const users = [{ tenant: "t", user: "ann" }, { tenant: "t", user: "ann.lee" }, { tenant: "t2", user: "ann" }, { tenant: "t", user: "é/%." }];
  for (const user of users) for (const key of ["k1", "k2"]) localOutbox(outboxOf(user), local).put(item(key));
  local.setItem("hubbub.theme", "dark");
  for (const user of users) {
    expect(localOutbox(outboxOf(user), local).load().map(({ key }) => key)).toEqual(["k1", "k2"]);
    expect(unsentNames(user)).toHaveLength(2);
    forget(user);
    expect(unsentNames(user)).toEqual([]);
  }
  expect([...local.items.keys()]).toEqual(["hubbub.theme"]);
});

test("where the user is unknown, signing out deletes the unsent messages of all", async () => {
  const { forget, outboxOf, unsentNames, userOf } = await import("../app/session/session");
  expect(userOf("cookie")).toBeNull();
  expect(userOf({ token: "x", login: { user: "ann" } })).toEqual({ tenant: "default", user: "ann" });
  for (const user of ["ann", "ben"]) localOutbox(outboxOf({ tenant: "t", user }), local).put(item("k"));
  expect(unsentNames(null)).toHaveLength(2);
  forget(null);
  expect(local.items.size).toBe(0);
});

test("broken stored data is no session and no unsent message, and hides no other", async () => {
  const { loadSession } = await import("../app/session/session");
  for (const text of ["{", "null", "7", '{"token":"x"}']) {
    tab.setItem("hubbub.session", text);
    expect(loadSession()).toBeNull();
  }
  const box = localOutbox("p.", local);
  ["{", "null", '{"key":1}', "[]"].forEach((text, at) => local.setItem(`p.${at}`, text));
  box.put(item("k"));
  expect(box.load()).toEqual([item("k")]);
});
