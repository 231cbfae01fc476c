/** Positions in the log, case by case. */
import { describe, expect, test } from "vitest";

import type { Synced } from "../client/frames";
import type { ChannelHead } from "../client/shapes";
import { Sync } from "../client/sync";

const head = (id: string, seq: number): ChannelHead => ({ id, kind: "group", name: id, role: "member", seq, read_seq: 0 });
const event = (channel: string, seq: number) => ({ channel, seq });

describe("sync", () => {
  test("a channel new in hello starts at its number and is not requested", () => {
    const sync = new Sync();
    expect(sync.hello({ channels: [head("a", 7)] })).toEqual({ positions: {}, voided: false, joined: [head("a", 7)], left: [] });
    expect(sync.event(event("a", 7))).toBe("drop");
    expect(sync.event(event("a", 8))).toBe("apply");
  });

  test("a later hello requests events from the client's position, not the server's", () => {
    const sync = new Sync();
    sync.hello({ channels: [head("a", 7)] });
    sync.event(event("a", 8));
    expect(sync.hello({ channels: [head("a", 12)] }).positions).toEqual({ a: 8 });
  });

  test("a channel missing from hello is left", () => {
    const sync = new Sync();
    sync.hello({ channels: [head("a", 1), head("b", 1)] });
    expect(sync.hello({ channels: [head("b", 1)] }).left).toEqual(["a"]);
    expect(sync.event(event("a", 2))).toBe("drop");
  });

  test("a gap is requested once, and later events wait for the answer", () => {
    const sync = new Sync();
    sync.hello({ channels: [head("a", 1)] });
    expect(sync.event(event("a", 3))).toBe("gap");
    expect(sync.request(["a"])).toEqual({ a: 1 });
    expect(sync.event(event("a", 4))).toBe("drop");
    sync.synced({ type: "synced", channels: { a: { status: "complete", seq: 4 } } });
    expect([2, 3, 4].map((seq) => sync.event(event("a", seq)))).toEqual(["apply", "apply", "apply"]);
  });

  test("a gap after the answer is requested again", () => {
    const sync = new Sync();
    sync.hello({ channels: [head("a", 1)] });
    sync.request(["a"]);
    sync.synced({ type: "synced", channels: { a: { status: "complete", seq: 3 } } });
    expect(sync.event(event("a", 3))).toBe("gap");
  });

  test("an unknown answer counts as a reset", () => {
    const sync = new Sync();
    sync.hello({ channels: [head("a", 7)] });
    const answer = { type: "synced", channels: { a: { status: "elsewhere", seq: 9 } } } as unknown as Synced;
    expect(sync.synced(answer).reset).toEqual([{ channel: "a", seq: 9 }]);
  });

  test("a reset moves the position, also backwards", () => {
    const sync = new Sync();
    sync.hello({ channels: [head("a", 90)] });
    const { reset } = sync.synced({ type: "synced", channels: { a: { status: "reset", seq: 5 } } });
    expect(reset).toEqual([{ channel: "a", seq: 5 }]);
    expect(sync.event(event("a", 6))).toBe("apply");
  });

  test("a status of a newer server is a reset", () => {
    const sync = new Sync();
    sync.hello({ channels: [head("a", 1)] });
    const frame = { type: "synced", channels: { a: { status: "archived", seq: 9 } } } as unknown as Synced;
    expect(sync.synced(frame).reset).toEqual([{ channel: "a", seq: 9 }]);
    expect(sync.event(event("a", 10))).toBe("apply");
  });

  test("a channel that is gone takes no further events", () => {
    const sync = new Sync();
    sync.hello({ channels: [head("a", 1)] });
    expect(sync.synced({ type: "synced", channels: { a: { status: "gone" } } }).gone).toEqual(["a"]);
    expect(sync.event(event("a", 2))).toBe("drop");
  });

  test("joined starts a new channel, and requests the missing events of a known one", () => {
    const sync = new Sync();
    sync.hello({ channels: [head("a", 1)] });
    expect(sync.joined(head("b", 4))).toEqual({});
    expect(sync.event(event("b", 5))).toBe("apply");
    expect(sync.joined(head("a", 3))).toEqual({ a: 1 });
  });

  test("another epoch voids every position", () => {
    const sync = new Sync();
    sync.hello({ channels: [head("a", 9), head("b", 3)], epoch: "1" });
    const opening = sync.hello({ channels: [head("a", 7)], epoch: "2" });
    expect(opening).toEqual({ positions: {}, voided: true, joined: [head("a", 7)], left: ["b"] });
    expect(sync.epoch).toBe("2");
    expect(sync.event(event("a", 8))).toBe("apply");
  });

  test("a channel that hello had no room for keeps its position, and an unknown one is read at its first event", () => {
    const sync = new Sync();
    sync.hello({ channels: [head("a", 1), head("b", 1)], epoch: "1" });
    expect(sync.hello({ channels: [head("b", 1)], more: true, epoch: "1" })).toMatchObject({ positions: { a: 1, b: 1 }, left: [] });
    expect(sync.event(event("c", 5))).toBe("unknown");
    expect(sync.joined(head("c", 5))).toEqual({});
    expect(sync.event(event("c", 6))).toBe("apply");
  });
});
