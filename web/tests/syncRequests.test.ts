/** `sync` frames that the server could not serve. */
import { expect, test } from "vitest";

import type { ClientFrame } from "../client/frames";
import { Sync } from "../client/sync";
import { SyncRequests } from "../client/syncRequests";
import { FakeClock } from "./fakeClock";

const head = { id: "a", kind: "group", name: "", role: "member", seq: 3, read_seq: 0 } as const;

function bench() {
  const sync = new Sync();
  const clock = new FakeClock();
  const sent: ClientFrame[] = [];
  const requests = new SyncRequests(sync, clock, (frame) => sent.push(frame));
  return { sync, clock, sent, requests };
}

test("a refused sync is sent again when the server says, from the position by then", () => {
  const { sync, clock, sent, requests } = bench();
  requests.open(sync.hello({ channels: [head] }).positions);
  sync.event({ channel: "a", seq: 4 });
  requests.send(sync.request(["a"]));
  expect(requests.refused({ type: "error", ref: "s2", reason: "UNAVAILABLE", retry_after: 2 })).toBe(true);
  sync.event({ channel: "a", seq: 5 });
  clock.advance(1_999);
  expect(sent).toHaveLength(2);
  clock.advance(1);
  expect(sent[2]).toEqual({ type: "sync", ref: "s3", positions: { a: 5 } });
});

test("a refused first sync is sent again, without positions too", () => {
  const { clock, sent, requests } = bench();
  requests.open({});
  requests.refused({ type: "error", ref: "s1", reason: "UNAVAILABLE" });
  clock.advance(1_000);
  expect(sent.map((frame) => frame.type)).toEqual(["sync", "sync"]);
});

test("errors of other frames, of answered syncs and of the last connection's change nothing", () => {
  const { clock, sent, requests } = bench();
  requests.open({});
  requests.answered("s1");
  expect(requests.refused({ type: "error", ref: "s1", reason: "UNAVAILABLE" })).toBe(false);
  expect(requests.refused({ type: "error", reason: "UNAVAILABLE" })).toBe(false);
  requests.open({});
  requests.refused({ type: "error", ref: "s2", reason: "UNAVAILABLE" });
  requests.closed();
  clock.advance(5_000);
  expect(sent).toHaveLength(2);
});
