/** Renewing credentials: on the open socket before they expire, over a new socket after that. */
import { describe, expect, test } from "vitest";

import { createApi } from "../client/api";
import { tokenCredentials } from "../client/credentials";
import { Problem } from "../client/http";
import { dueMs } from "../client/renewal";
import { cookieCredentials } from "../client/signin";
import { FakeClock, settled } from "./fakeClock";
import { World } from "./world";

/** Ten of these pass well within one heartbeat. */
const unit = 2_000;
const start = new FakeClock().now();

function jwt(lifeMs: number, issuedAt = start, user = "me"): string {
  const part = (value: unknown) => btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/u, "");
  return [part({ alg: "EdDSA" }), part({ sub: user, iat: issuedAt / 1000, exp: (issuedAt + lifeMs) / 1000 }), "s"].join(".");
}

const tokens = (world: World) => world.socket?.toServer.filter((frame) => frame.type === "token") ?? [];

async function worldWith(lifeMs: number): Promise<World> {
  const world = new World(undefined, jwt(lifeMs));
  world.server.room("a");
  return world.started();
}

/** Advances the clock and lets the consequences settle. */
async function pass(world: World, ms: number): Promise<void> {
  world.clock.advance(ms);
  await settled();
}

describe("on the open socket", () => {
  test("a token is replaced before it expires, and its successor in turn", async () => {
    const world = await worldWith(10 * unit);
    for (const fresh of ["second", "third"]) {
      let issued = "";
      world.fresh = () => Promise.resolve((issued = jwt(10 * unit, world.clock.now()) + fresh));
      await pass(world, 6 * unit);
      expect(tokens(world)).toEqual([]);
      await pass(world, 1.5 * unit);
      expect(tokens(world)).toMatchObject([{ token: issued }]);
      const ref = tokens(world)[0]?.ref ?? "";
      world.socket?.toServer.splice(0);
      world.socket?.toClient.push({ type: "token", ref, expires_at: "" });
      await world.flush();
    }
    expect(world.server.sockets).toHaveLength(1);
  });

  test("a failed renewal reports the expiry and is repeated until then", async () => {
    const world = await worldWith(10 * unit);
    world.fresh = () => Promise.reject(new Problem(0, "UNAVAILABLE", ""));
    await pass(world, 7.1 * unit);
    expect(world.client.store.get().expiresAt).toBe(start + 10 * unit);
    const asked = world.renewals;
    for (let n = 0; n < 3; n++) await pass(world, unit / 2);
    expect(world.renewals).toBe(asked + 3);
    world.fresh = () => Promise.resolve(jwt(60 * unit, world.clock.now()));
    await pass(world, unit / 2);
    world.socket?.toClient.push({ type: "token", ref: tokens(world)[0]?.ref ?? "", expires_at: "" });
    await world.flush();
    expect(world.client.store.get().expiresAt).toBeNull();
  });

  test("with a wrong device clock, renewals are neither endless nor late", () => {
    const credentials = (skew: number) => {
      const clock = new FakeClock();
      clock.advance(skew);
      const term = tokenCredentials(jwt(10 * unit), () => Promise.resolve(null), clock).term();
      return term === null ? null : dueMs(term, clock.now(), 0);
    };
    expect(credentials(0)).toBe(8 * unit);
    expect(credentials(60 * unit)).toBe(2 * unit);
    const slow = tokenCredentials(jwt(10 * unit, start + 60 * unit), () => Promise.resolve(null), new FakeClock()).term();
    expect(slow === null ? null : dueMs(slow, start, 0)).toBe(8 * unit);
  });

  test("a token without a readable expiry is not renewed ahead of time", () => {
    for (const odd of ["opaque", "a.b.c", `a.${btoa("null")}.c`, `a.${btoa('{"exp":"soon","iat":1}')}.c`]) {
      expect(tokenCredentials(odd, () => Promise.resolve(null)).term()).toBeNull();
    }
  });
});

describe("after the end", () => {
  test("4001 reconnects with a new token, and messages written meanwhile are sent", async () => {
    const world = await worldWith(10 * unit);
    const before = world.renewals;
    world.server.tokenIsVoid = true;
    world.client.send({ channel: "a", text: "not lost" });
    world.socket?.drop(4001);
    await world.rest();
    expect(world.renewals).toBe(before + 1);
    expect(world.server.room("a").messages.map((m) => m.text)).toEqual(["not lost"]);
    expect(world.client.store.get().outbox).toEqual([]);
  });

  test("without a new token the connection ends; without an answer it retries", async () => {
    const world = await worldWith(10 * unit);
    world.fresh = () => Promise.reject(new Problem(0, "UNAVAILABLE", ""));
    const voided = () => (world.server.tokenIsVoid = true);
    voided();
    world.socket?.drop(4001);
    await pass(world, 1_000);
    await world.flush();
    expect(world.client.store.get().connection.name).toBe("waiting");
    voided();
    world.fresh = () => Promise.resolve(null);
    await pass(world, 2_000);
    await world.flush();
    expect(world.client.store.get().connection).toMatchObject({ name: "ended", code: 401 });
  });

  test("a socket of another user is not used", async () => {
    const world = await worldWith(10 * unit);
    world.socket?.drop(4001);
    await pass(world, 2_000);
    await world.answer();
    const hello = world.socket?.toClient[0];
    if (hello?.type === "hello") hello.user = "eve";
    await world.flush();
    expect(world.client.store.get().connection).toMatchObject({ name: "ended", code: 401 });
  });
});

describe("over HTTP", () => {
  const answers = (...statuses: number[]) => {
    const seen: (string | null)[] = [];
    const fetch = (_: unknown, init?: RequestInit) => {
      seen.push(new Headers(init?.headers).get("Authorization"));
      return Promise.resolve(new Response("{}", { status: statuses.shift() ?? 200 }));
    };
    return { seen, fetch };
  };

  test("a request with a void token is repeated with the next, once", async () => {
    let count = 0;
    const credentials = tokenCredentials("t0", () => Promise.resolve(`t${(count += 1)}`));
    const { seen, fetch } = answers(401, 200, 401, 401);
    const api = createApi({ origin: "", ...credentials, fetch });
    await api.me();
    await expect(api.me()).rejects.toMatchObject({ status: 401 });
    expect(seen).toEqual(["Bearer t0", "Bearer t1", "Bearer t1", "Bearer t2"]);
  });

  test("concurrent requests with a void token share one renewal", async () => {
    let count = 0;
    const credentials = tokenCredentials("t0", () => Promise.resolve(`t${(count += 1)}`));
    const { fetch } = answers(401, 401, 401);
    const api = createApi({ origin: "", ...credentials, fetch });
    await Promise.all([api.me(), api.me(), api.me()]);
    expect(count).toBe(1);
  });

  test("a cookie is renewed only by signing in again", async () => {
    const clock = new FakeClock();
    const session = { development: false, provider: null, signed_in: true, ends_at: new Date(start + 60 * unit).toISOString() };
    const cookie = await cookieCredentials({ origin: "", fetch: () => Promise.resolve(Response.json(session)) }, clock);
    expect(cookie.term()).toEqual({ endsAt: start + 60 * unit, lifeMs: 60 * unit });
    expect(await cookie.renew()).toBe(false);
    session.ends_at = new Date(start + 90 * unit).toISOString();
    expect(await cookie.renew()).toBe(true);
    session.signed_in = false;
    expect(await cookie.renew()).toBe(false);
    expect(cookie.token()).toBeNull();
  });
});
