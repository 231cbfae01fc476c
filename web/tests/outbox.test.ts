/** Messages are not lost, stored twice, or sent out of order. */
import { describe, expect, test } from "vitest";

import type { ErrorFrame, SendFrame } from "../client/frames";
import { newKey } from "../client/key";
import { Outbox } from "../client/outbox";
import type { OutboxItem } from "../client/outbox";
import { FakeClock } from "./fakeClock";
import { memoryStorage, World } from "./world";

function bench(storage = memoryStorage()) {
  const clock = new FakeClock();
  const sent: SendFrame[] = [];
  let keys = 0;
  const line = { open: true };
  let items: readonly OutboxItem[] = [];
  const outbox = new Outbox({
    storage,
    clock,
    newKey: () => `k${(keys += 1)}`,
    send: (frame) => {
      if (line.open) sent.push(frame);
      return line.open;
    },
    changed: (changed) => (items = changed),
  });
  const ack = (key: string, seq: number) => outbox.acked({ type: "ack", ref: key, channel: "a", seq, message: "m", at: "" });
  const refuse = (key: string, error: Partial<ErrorFrame>) => outbox.refused({ type: "error", ref: key, reason: "", ...error });
  return { outbox, clock, sent, line, storage, ack, refuse, states: () => items.map((item) => item.state.name) };
}

const draft = (text: string) => ({ channel: "a", text });

test("keys are UUIDs of version 7, which ascend in time", () => {
  const keys = Array.from({ length: 100 }, () => newKey());
  expect(new Set(keys).size).toBe(100);
  for (const key of keys) expect(key).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const first = Date.UTC(2026, 10, 29);
  expect([newKey(first + 2), newKey(first), newKey(first + 1)].sort().map((key) => Number.parseInt(key.slice(0, 13).replace("-", ""), 16) - first)).toEqual([0, 1, 2]);
});

describe("outbox", () => {
  test("sends in order: the second waits for the first's answer", () => {
    const { outbox, sent, ack } = bench();
    outbox.add(draft("one"));
    outbox.add(draft("two"));
    expect(sent.map((frame) => frame.text)).toEqual(["one"]);
    ack("k1", 1);
    expect(sent.map((frame) => frame.text)).toEqual(["one", "two"]);
  });

  test("channels do not wait for each other", () => {
    const { outbox, sent } = bench();
    outbox.add(draft("one"));
    outbox.add({ channel: "b", text: "two" });
    expect(sent).toHaveLength(2);
  });

  test("an unanswered item is sent again under the same key after a reconnect", () => {
    const { outbox, sent, line } = bench();
    outbox.add(draft("one"));
    line.open = false;
    outbox.closed();
    line.open = true;
    outbox.opened();
    expect(sent.map((frame) => frame.key)).toEqual(["k1", "k1"]);
  });

  test("items survive a reload, in order, and leave the storage only when acknowledged", () => {
    const first = bench();
    first.line.open = false;
    first.outbox.add(draft("one"));
    first.clock.advance(5);
    first.outbox.add(draft("two"));
    const second = bench(first.storage);
    second.outbox.opened();
    second.ack("k1", 1);
    second.ack("k2", 2);
    expect(second.sent.map((frame) => frame.text)).toEqual(["one", "two"]);
    expect(first.storage.items.size).toBe(0);
  });

  test("an acknowledged item is shown until its event is applied", () => {
    const { outbox, ack, states } = bench();
    outbox.add(draft("one"));
    ack("k1", 5);
    outbox.applied("a", 4);
    expect(states()).toEqual(["stored"]);
    outbox.applied("a", 5);
    expect(states()).toEqual([]);
  });

  test.each(["RATE_LIMITED", "SLOW_MODE", "UNAVAILABLE", "A_NEWER_REASON"])("%s waits as long as the server says, and holds back later items", (reason) => {
    const { outbox, sent, clock, refuse } = bench();
    outbox.add(draft("one"));
    outbox.add(draft("two"));
    refuse("k1", { reason, retry_after: 3 });
    clock.advance(2_999);
    expect(sent).toHaveLength(1);
    clock.advance(1);
    expect(sent.map((frame) => frame.key)).toEqual(["k1", "k1"]);
  });

  test.each(["KEY_REUSED", "NOT_ALLOWED", "TOO_LARGE"])("%s fails the item: later items are sent, the author decides", (reason) => {
    const { outbox, sent, states, refuse, storage } = bench();
    outbox.add(draft("one"));
    outbox.add(draft("two"));
    refuse("k1", { reason });
    expect(states()).toEqual(["failed", "sending"]);
    expect(sent.at(-1)?.text).toBe("two");
    expect(storage.items.get("k1")?.state.name).toBe("failed");
    outbox.discard("k1");
    expect(storage.items.has("k1")).toBe(false);
  });

  test("retrying a refused item is a new message with a new key", () => {
    const { outbox, sent, refuse } = bench();
    outbox.add(draft("one"));
    refuse("k1", { reason: "KEY_REUSED" });
    outbox.retry("k1");
    expect(sent.map((frame) => [frame.key, frame.text])).toEqual([["k1", "one"], ["k2", "one"]]);
  });

  test("no answer in time sends again under the same key", () => {
    const { outbox, sent, clock } = bench();
    outbox.add(draft("one"));
    clock.advance(10_000);
    expect(sent.map((frame) => frame.key)).toEqual(["k1", "k1"]);
  });

  test("a message seen in the log leaves the outbox, also when another tab sent it", () => {
    const { outbox, states, storage } = bench();
    outbox.add(draft("one"));
    outbox.seen("k1", { message: "m1", seq: 1, at: "" });
    expect(states()).toEqual([]);
    expect(storage.items.size).toBe(0);
  });

  test("sealed content is sent instead of the text, which stays in the outbox", () => {
    const { outbox, sent } = bench();
    expect(outbox.add({ ...draft("secret"), sealed: "c2VjcmV0" }).text).toBe("secret");
    expect(sent).toEqual([{ type: "send", ref: "k1", channel: "a", key: "k1", sealed: "c2VjcmV0" }]);
  });

  test("a refusal with an unknown reason is repeated if the server says when", () => {
    const { outbox, sent, clock, refuse, states } = bench();
    outbox.add(draft("one"));
    refuse("k1", { reason: "NEW_REASON", retry_after: 1 });
    clock.advance(1_000);
    expect(sent.map((frame) => frame.key)).toEqual(["k1", "k1"]);
    refuse("k1", { reason: "NEW_REASON" });
    expect(states()).toEqual(["failed"]);
  });

  test("who waits for an item learns where it is stored, why it was refused, or that it is given up", async () => {
    const { outbox, ack, refuse } = bench();
    const outcomes = ["stored", "seen", "refused", "discarded", "kept"].map((text) => outbox.stored(outbox.add(draft(text)).key).catch((error: unknown) => error));
    ack("k1", 7);
    outbox.seen("k2", { message: "m2", seq: 8, at: "now" });
    refuse("k3", { reason: "NOT_ALLOWED" });
    outbox.discard("k4");
    outbox.stopped();
    expect(await Promise.all(outcomes)).toMatchObject([
      { message: "m", seq: 7, at: "" },
      { message: "m2", seq: 8, at: "now" },
      { reason: "NOT_ALLOWED" },
      { reason: "DISCARDED" },
      { reason: "UNAVAILABLE" },
    ]);
  });

  test("through broken connections and reloads the server has each message once, in order", async () => {
    const world = new World();
    world.server.room("a");
    await world.started();
    for (const [index, text] of ["one", "two", "three", "four"].entries()) {
      world.client.send(draft(text));
      if (index % 2 === 0) world.socket?.serve();
      if (index === 1) world.socket?.drop();
      if (index === 2) world.reload();
      world.clock.advance(1);
    }
    await world.rest();
    expect(world.server.room("a").messages.map((m) => m.text)).toEqual(["one", "two", "three", "four"]);
    expect(world.client.store.get().outbox).toEqual([]);
    expect(world.storage.items.size).toBe(0);
  });

  test("what was stored lately is sent again under the same key when the store has lost entries, in its order", () => {
    const { outbox, sent, ack, line, states } = bench();
    outbox.add(draft("seen"));
    ack("k1", 1);
    outbox.applied("a", 1);
    outbox.add(draft("stored"));
    ack("k2", 2);
    outbox.add(draft("sending"));
    line.open = false;
    outbox.closed();
    outbox.lost();
    expect(states()).toEqual(["waiting", "waiting", "waiting"]);
    line.open = true;
    outbox.opened();
    ack("k1", 1);
    ack("k2", 2);
    expect(sent.slice(3).map((frame) => [frame.key, frame.text])).toEqual([["k1", "seen"], ["k2", "stored"], ["k3", "sending"]]);
  });

  test("what was stored more than two minutes before the loss is not sent again, nor is anything twice", () => {
    const { outbox, ack, clock, states } = bench();
    outbox.add(draft("old"));
    ack("k1", 1);
    outbox.applied("a", 1);
    clock.advance(120_001);
    outbox.lost();
    expect(states()).toEqual([]);
    outbox.add(draft("new"));
    ack("k2", 2);
    outbox.lost();
    outbox.lost();
    expect(states()).toEqual(["waiting"]);
  });
});
