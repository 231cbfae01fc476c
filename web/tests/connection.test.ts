/** When a connection reconnects, when it ends, and how long it waits. */
import { describe, expect, test } from "vitest";

import { backoffMs, Connection, mayReconnect } from "../client/connection";
import type { ConnectionState, SocketLike } from "../client/connection";
import type { ServerFrame } from "../client/frames";
import { Problem } from "../client/http";
import { FakeClock, settled } from "./fakeClock";

const limits = { frame_bytes: 100, text_bytes: 50, sync_events: 1, sends_per_second: 1, burst: 1, connections: 1, named_members: 1 };

class Wire implements SocketLike {
  onmessage: SocketLike["onmessage"] = null;
  onclose: SocketLike["onclose"] = null;
  readonly sent: string[] = [];
  closedWith: number | undefined;
  send = (text: string) => void this.sent.push(text);
  close = (code?: number) => void (this.closedWith = code);
  say = (frame: Partial<ServerFrame>) => this.onmessage?.({ data: JSON.stringify(frame) });
  hello = () => this.say({ type: "hello", heartbeat_seconds: 30, limits });
}

function bench() {
  const clock = new FakeClock();
  const wires: Wire[] = [];
  const tickets: (() => Promise<string>)[] = [];
  const heard = { states: [] as ConnectionState[], frames: [] as string[] };
  const connection = new Connection({
    clock,
    ticket: () => (tickets.shift() ?? (() => Promise.resolve("t")))(),
    socket: () => {
      const wire = new Wire();
      wires.push(wire);
      return wire;
    },
    onState: (state) => void heard.states.push(state),
    onFrame: (frame) => void heard.frames.push(frame.type),
  });
  const open = async () => {
    connection.start();
    await settled();
    wires.at(-1)?.hello();
    return wires.at(-1) as Wire;
  };
  return { clock, wires, tickets, connection, heard, open };
}

describe("close codes", () => {
  test.each([1006, 1012, 1001, 4000, 4001, 4002, 4003, 4004, 4005, 4499])("%i reconnects", async (code) => {
    const { open, connection, clock, wires } = bench();
    (await open()).onclose?.({ code, reason: "" });
    await settled();
    expect(connection.state.name).toBe("waiting");
    clock.advance(code === 4004 ? 6_000 : 1_000);
    await settled();
    expect(wires).toHaveLength(2);
    expect(mayReconnect(code)).toBe(true);
  });

  test.each([4500, 4501, 4502, 4503, 4999])("%i ends it", async (code) => {
    const { open, connection, clock, wires } = bench();
    (await open()).onclose?.({ code, reason: "why" });
    expect(connection.state).toEqual({ name: "ended", code, reason: "why" });
    clock.advance(600_000);
    await settled();
    expect(wires).toHaveLength(1);
  });
});

describe("limits", () => {
  test("a frame above the limit, in bytes, is refused without being sent: the server would close the socket", async () => {
    const { open, connection, heard } = bench();
    const wire = await open();
    const frame = (text: string) => ({ type: "edit", ref: "r1", channel: "c", message: "m", text }) as const;
    const spare = limits.frame_bytes - JSON.stringify(frame("")).length;
    expect(connection.send(frame("a".repeat(spare)))).toBe(true);
    expect(connection.send(frame("é".repeat(spare / 2 + 1)))).toBe(true);
    await settled();
    expect(wire.sent).toEqual([JSON.stringify(frame("a".repeat(spare)))]);
    expect(heard.frames).toEqual(["error"]);
  });

  test("after flooding the next connection waits at least 5 s", async () => {
    const { open, connection, clock } = bench();
    (await open()).onclose?.({ code: 4004, reason: "" });
    expect(connection.state).toMatchObject({ name: "waiting" });
    if (connection.state.name === "waiting") expect(connection.state.retryAt - clock.now()).toBeGreaterThanOrEqual(5_000);
  });
});

describe("reconnecting", () => {
  test("the backoff is a random share of a bound that doubles up to 30 s", () => {
    expect([0, 1, 2, 3, 10].map((attempt) => backoffMs(attempt, 1))).toEqual([1_000, 2_000, 4_000, 8_000, 30_000]);
    expect(backoffMs(3, 0)).toBe(0);
  });

  test("a connection that breaks at once waits longer each time; a stable one starts over", async () => {
    const { open, wires, clock, connection } = bench();
    await open();
    const waits: number[] = [];
    for (const lived of [0, 0, 15_000]) {
      clock.advance(lived);
      wires.at(-1)?.onclose?.({ code: 1006, reason: "" });
      const state = connection.state;
      if (state.name === "waiting") waits.push(state.retryAt - clock.now());
      clock.advance(20_000);
      await settled();
      wires.at(-1)?.hello();
    }
    expect(waits).toEqual([500, 1_000, 500]);
  });

  test("the server's reconnect frame is followed at its time, without backoff", async () => {
    const { open, clock, wires, connection } = bench();
    const wire = await open();
    wire.say({ type: "reconnect", after_ms: 700 });
    clock.advance(699);
    expect(connection.state.name).toBe("open");
    clock.advance(1);
    await settled();
    expect(wires).toHaveLength(2);
    expect(wire.closedWith).toBe(1000);
  });

  test("a refused ticket ends the connection", async () => {
    const { connection, tickets } = bench();
    tickets.push(() => Promise.reject(new Problem(401, "NOT_AUTHENTICATED", "")));
    connection.start();
    await settled();
    expect(connection.state).toEqual({ name: "ended", code: 401, reason: "NOT_AUTHENTICATED" });
  });

  test("Retry-After is added to the backoff", async () => {
    const { connection, tickets, clock } = bench();
    tickets.push(() => Promise.reject(new Problem(503, "UNAVAILABLE", "", 5_000)));
    connection.start();
    await settled();
    expect(connection.state).toEqual({ name: "waiting", attempt: 1, retryAt: clock.now() + 5_500 });
  });

  test("reconnectNow ends the backoff", async () => {
    const { open, connection, wires } = bench();
    (await open()).onclose?.({ code: 1006, reason: "" });
    connection.reconnectNow();
    await settled();
    expect(wires).toHaveLength(2);
  });

  test("an abandoned socket is ignored", async () => {
    const { open, connection, heard } = bench();
    const wire = await open();
    connection.stop();
    wire.say({ type: "pong" });
    expect(heard.frames).toEqual([]);
    expect(connection.state.name).toBe("idle");
  });
});

describe("heartbeat", () => {
  test("pings well within the heartbeat, for as long as it is answered", async () => {
    const { open, clock, connection } = bench();
    const wire = await open();
    for (let beat = 1; beat <= 3; beat++) {
      clock.advance(24_000);
      expect(wire.sent).toHaveLength(beat);
      wire.say({ type: "pong" });
    }
    expect(connection.state.name).toBe("open");
  });

  test("a half-open socket is closed when a ping stays unanswered", async () => {
    const { open, clock, connection } = bench();
    await open();
    clock.advance(33_999);
    expect(connection.state.name).toBe("open");
    clock.advance(1);
    expect(connection.state.name).toBe("waiting");
  });

  test("a socket without hello is closed", async () => {
    const { connection, clock } = bench();
    connection.start();
    await settled();
    clock.advance(10_000);
    expect(connection.state.name).toBe("waiting");
  });
});
