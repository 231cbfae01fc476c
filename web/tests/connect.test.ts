/** The first call of a product, and what the client announces to its listeners. */
import { describe, expect, test, vi } from "vitest";

import { connect, webSocket } from "../client";
import type { HubbubClient, LogEvent, WebSocketClass } from "../client";
import { settled } from "./fakeClock";
import { me, ModelServer } from "./modelServer";
import { World } from "./world";

const post = (world: World, text: string) => world.server.append("a", "ada", { kind: "message.posted", text });

/** Listens to everything that is about channels. */
function listening(client: HubbubClient): string[] {
  const heard: string[] = [];
  for (const name of ["joined", "left", "reset"] as const) client.on(name, (channel) => heard.push(`${name} ${channel}`));
  client.on("event", ({ channel, seq }) => heard.push(`event ${channel} ${seq}`));
  client.on("message", ({ text }) => heard.push(`message ${text ?? ""}`));
  return heard;
}

async function started(): Promise<World> {
  const world = new World();
  world.server.room("a");
  return world.started();
}

describe("connect", () => {
  /** Answers every request at once, and serves every socket. */
  function bench(token: string | null = "t") {
    const server = new ModelServer();
    const urls: string[] = [];
    const options = {
      origin: "https://chat.example",
      getToken: () => Promise.resolve(token),
      fetch: (url: string | URL | Request, init?: RequestInit) => {
        const answer = server.fetch((url as string).replace("https://chat.example", ""), init);
        server.asked.shift()?.answer();
        return answer;
      },
      WebSocket: function (url: string) {
        urls.push(url);
        return server.connect("");
      } as unknown as WebSocketClass,
    };
    return { server, urls, options };
  }

  test("resolves once the socket is open", async () => {
    const { server, urls, options } = bench();
    server.room("a");
    const connecting = connect(options);
    await settled();
    expect(urls).toEqual(["wss://chat.example/v1/connect?ticket=t"]);
    server.sockets[0]?.deliver();
    const client = await connecting;
    expect(client.store.get()).toMatchObject({ connection: { name: "open" }, me: { user: me } });
    expect([...client.store.get().channels.keys()]).toEqual(["a"]);
    client.stop();
  });

  test.each([
    ["NOT_AUTHENTICATED", null, 0],
    ["NOT_ALLOWED", "t", 4503],
    ["UNAVAILABLE", "t", 1012],
  ])("rejects with %s, and makes no further attempt", async (reason, token, code) => {
    const { server, urls, options } = bench(token);
    const outcome = connect(options).catch((error: unknown) => error);
    await settled();
    server.sockets[0]?.drop(code);
    expect(await outcome).toMatchObject({ name: "Problem", reason });
    expect(urls).toHaveLength(token === null ? 0 : 1);
  });

  test("a platform without WebSocket is told so", () => {
    vi.stubGlobal("WebSocket", undefined);
    expect(() => webSocket("https://chat.example")).toThrow("has no WebSocket");
    vi.unstubAllGlobals();
  });

  test("an error of the caller's own function is passed on at first; later it counts as a server that does not answer", async () => {
    const offline = () => Promise.reject(new TypeError("offline"));
    await expect(connect({ ...bench().options, getToken: offline })).rejects.toThrow("offline");
    const world = await started();
    world.fresh = offline;
    await expect(world.client.renew()).resolves.toBe(false);
  });
});

test("the app's import of the package means the same modules as those of its other entries", async () => {
  expect((await import("../client")).Problem).toBe((await import("../client/http")).Problem);
});

describe("listeners", () => {
  test("get each entry once, in order, across a reconnect, and messages beside their entries", async () => {
    const world = await started();
    const heard = listening(world.client);
    post(world, "one");
    await world.flush();
    world.socket?.drop();
    post(world, "two");
    await world.rest();
    expect(heard).toEqual(["event a 1", "message one", "event a 2", "message two"]);
  });

  test("learn that entries are missing, before those that follow", async () => {
    const world = await started();
    const heard = listening(world.client);
    world.socket?.drop();
    for (let n = 0; n <= world.server.syncEvents; n++) post(world, "missed");
    await world.rest();
    post(world, "next");
    await world.flush();
    expect(heard).toEqual(["reset a", `event a ${world.server.syncEvents + 2}`, "message next"]);
  });

  test("learn of channels that come and go, and of a store that lost entries", async () => {
    const world = new World();
    world.server.room("a");
    const heard = listening(world.client);
    await world.started();
    world.socket?.toClient.push({ type: "left", channel: "a" }, { type: "joined", channel: world.server.head("a") });
    await world.flush();
    world.server.goBack("a", 0);
    await world.rest();
    expect(heard.filter((line) => !line.startsWith("event"))).toEqual(["joined a", "left a", "joined a", "reset a"]);
  });

  test("see the state that already has the change; one that throws stops no other, and one that ended gets nothing", async () => {
    const world = await started();
    const later: (() => void)[] = [];
    vi.stubGlobal("queueMicrotask", (run: () => void) => later.push(run));
    const seen: unknown[] = [];
    world.client.on("event", () => {
      throw new Error("mine");
    });
    const end = world.client.on("event", ({ channel }: LogEvent) => seen.push(world.client.store.get().channels.get(channel)?.seq));
    post(world, "one");
    await world.flush();
    end();
    post(world, "two");
    await world.flush();
    vi.unstubAllGlobals();
    expect(seen).toEqual([1]);
    const errors = later.flatMap((run) => {
      try {
        run();
        return [];
      } catch (error) {
        return [(error as Error).message];
      }
    });
    expect(errors).toEqual(["mine", "mine"]);
    expect(world.client.store.get().channels.get("a")?.seq).toBe(2);
  });

  test("get frames of types that this version does not know", async () => {
    const world = await started();
    const unknown: unknown[] = [];
    world.client.on("unknown", (frame) => unknown.push(frame));
    world.socket?.onmessage?.({ data: JSON.stringify({ type: "surprise", channel: "a" }) });
    expect(unknown).toEqual([{ type: "surprise", channel: "a" }]);
  });
});

test("post resolves with the number of the stored message", async () => {
  const world = await started();
  const stored = world.client.post({ channel: "a", text: "hi" });
  await world.flush();
  expect(await stored).toMatchObject({ message: "a-1", seq: 1 });
});

test("a presence that this version does not know counts as online", async () => {
  const world = await started();
  world.socket?.onmessage?.({ data: JSON.stringify({ type: "presence", user: "ada", status: "in space" }) });
  expect(world.client.store.get().presence.get("ada")?.status).toBe("online");
});
