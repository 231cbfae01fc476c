/** Loading pages of history while the log goes on. */
import { describe, expect, test } from "vitest";

import { World } from "./world";
import { settled } from "./fakeClock";

const limits = { page: 4, span: 6, windowMax: 12, windowKeep: 7, recorded: 50 };

async function opened(before: number): Promise<World> {
  const world = new World(limits);
  for (let n = 0; n < before; n++) world.server.append("a", "ada", { kind: "message.posted", text: `${n}` });
  await world.started();
  world.client.open("a");
  await world.flush();
  return world;
}

const seqs = (world: World) => world.client.store.get().channels.get("a")?.timeline?.messages.map((m) => m.seq);
const texts = (world: World) => world.client.store.get().channels.get("a")?.timeline?.messages.map((m) => m.text);

describe("history", () => {
  test("an edit that arrives while its page is being loaded is not lost", async () => {
    const world = await opened(8);
    void world.view.older();
    world.server.append("a", "ada", { kind: "message.edited", message: "a-2", text: "edited" });
    world.socket?.deliver();
    await world.flush();
    expect(texts(world)).toEqual(["0", "edited", "2", "3", "4", "5", "6", "7"]);
  });

  test("a page requested before a reset is discarded after it", async () => {
    const world = new World(limits);
    world.server.append("a", "ada", { kind: "message.posted", text: "old" });
    await world.started();
    world.client.open("a");
    const stale = world.server.asked.splice(0);
    world.socket?.drop();
    world.server.syncEvents = 1;
    for (let n = 0; n < 9; n++) world.server.append("a", "ada", { kind: "message.posted", text: "new" });
    world.clock.advance(2_000);
    await settled();
    // Up to the reset, but not the page that follows it.
    for (let n = 0; n < 9; n++) {
      const ticket = world.server.asked.findIndex((asked) => asked.path === "/v1/tickets");
      if (ticket >= 0) await world.answer(ticket);
      world.socket?.serve();
      world.socket?.deliver();
      await settled();
    }
    for (const asked of stale) asked.answer();
    await settled();
    expect(seqs(world)).toBeUndefined();
    await world.flush();
    expect(seqs(world)).toEqual([7, 8, 9, 10]);
  });

  test("a page that no longer adjoins the window is discarded", async () => {
    const world = await opened(30);
    void world.view.older();
    const [page] = world.server.asked.splice(0);
    for (let n = 0; n < 10; n++) world.server.append("a", "ada", { kind: "message.posted", text: "live" });
    await world.flush();
    page?.answer();
    await settled();
    const loaded = seqs(world) ?? [];
    expect(loaded.length).toBeGreaterThan(0);
    expect(loaded).toEqual(Array.from(loaded, (_, n) => (loaded[0] ?? 0) + n));
  });

  test("scrolling up keeps the window bounded and leaves the live log", async () => {
    const world = await opened(60);
    world.view.follow(false);
    for (let n = 0; n < 10; n++) {
      void world.view.older();
      await world.flush();
    }
    const timeline = world.client.store.get().channels.get("a")?.timeline;
    expect(timeline?.messages.length).toBeLessThanOrEqual(limits.windowMax);
    expect(timeline?.atEnd).toBe(false);
  });

  test("scrolling back down rejoins the live log, across ranges without messages", async () => {
    const world = await opened(30);
    world.view.follow(false);
    for (let n = 0; n < 6; n++) {
      void world.view.older();
      await world.flush();
    }
    for (let n = 0; n < 40; n++) world.server.append("a", "ada", { kind: "unknown.kind" });
    world.server.append("a", "ada", { kind: "message.posted", text: "last" });
    await world.flush();
    for (let n = 0; n < 20; n++) {
      void world.view.newer();
      await world.flush();
    }
    expect(world.client.store.get().channels.get("a")?.timeline?.atEnd).toBe(true);
    expect(texts(world)?.at(-1)).toBe("last");
  });

  test("a failed load is tried again until the view has its messages", async () => {
    const world = new World(limits);
    world.server.append("a", "ada", { kind: "message.posted", text: "hello" });
    await world.started();
    world.client.open("a");
    for (const asked of world.server.asked.splice(0)) asked.fail();
    await settled();
    expect(world.client.store.get().loadFailure).toBe("UNAVAILABLE");
    world.clock.advance(2_000);
    await world.flush();
    expect(texts(world)).toEqual(["hello"]);
    expect(world.client.store.get().loadFailure).toBeNull();
  });
});
