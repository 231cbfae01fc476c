/** Answers and refusals over HTTP. */
import { describe, expect, test } from "vitest";

import { createApi } from "../client/api";
import type { Api } from "../client/api";
import { Problem } from "../client/http";
import { devLogin } from "../client/signin";
import { FakeClock, settled } from "./fakeClock";

function answering(status: number, body: unknown, headers: Record<string, string> = {}) {
  const asked: { url: string; init: RequestInit | undefined }[] = [];
  const fetch = (url: string | URL | Request, init?: RequestInit) => {
    asked.push({ url: url as string, init });
    return Promise.resolve(new Response(status === 204 ? null : JSON.stringify(body), { status, headers }));
  };
  return { asked, options: { origin: "", token: () => "secret", fetch } };
}

const refused = (promise: Promise<unknown>) => promise.then(() => null, (error: unknown) => error as Problem);

describe("http", () => {
  test("requests carry the token, and path parts are escaped", async () => {
    const { asked, options } = answering(200, { items: [] });
    await createApi(options).messages("a/b?c", { before: 7, limit: 50 });
    expect(asked[0]?.url).toBe("/v1/channels/a%2Fb%3Fc/messages?before=7&limit=50");
    expect(new Headers(asked[0]?.init?.headers).get("Authorization")).toBe("Bearer secret");
  });

  test("a problem keeps its reason, detail and Retry-After", async () => {
    const { options } = answering(429, { status: 429, title: "Slow down", reason: "RATE_LIMITED", detail: "10 a second" }, { "Retry-After": "3" });
    expect(await refused(createApi(options).join("a"))).toMatchObject({ status: 429, reason: "RATE_LIMITED", detail: "10 a second", retryAfterMs: 3000 });
  });

  test("an answer that is no problem+json is still a problem", async () => {
    const { options } = answering(502, "bad gateway");
    expect(await refused(createApi(options).me())).toMatchObject({ status: 502, reason: "UNAVAILABLE", retryAfterMs: null });
  });

  test("no answer at all is UNAVAILABLE", async () => {
    const fetch = () => Promise.reject(new TypeError("network"));
    expect(await refused(createApi({ origin: "", token: () => null, fetch }).me())).toMatchObject({ status: 0, reason: "UNAVAILABLE" });
  });

  test("lists are read to their end", async () => {
    const pages = [{ items: [1, 2], next: "x" }, { items: [3] }];
    const urls: string[] = [];
    const fetch = (url: string | URL | Request) => {
      urls.push(url as string);
      return Promise.resolve(new Response(JSON.stringify(pages.shift())));
    };
    expect(await createApi({ origin: "", token: () => null, fetch }).joinable()).toEqual([1, 2, 3]);
    expect(urls).toEqual(["/v1/channels?joinable=1", "/v1/channels?joinable=1&cursor=x"]);
  });

  test("a read refused for its rate is repeated at the time that the server names, three times at most", async () => {
    const clock = new FakeClock();
    const { asked, options } = answering(429, { reason: "RATE_LIMITED" }, { "Retry-After": "3" });
    const answer = refused(createApi({ ...options, clock }).members("a"));
    for (let requests = 1; requests <= 4; requests++) {
      await settled();
      expect(asked).toHaveLength(requests);
      clock.advance(2_999);
      await settled();
      expect(asked).toHaveLength(requests);
      clock.advance(751);
    }
    expect(await answer).toMatchObject({ status: 429 });
    expect(clock.nextIn).toBeNull();
  });

  test("a write refused for its rate, and a read with a wait of minutes, are not repeated", async () => {
    const clock = new FakeClock();
    for (const [seconds, run] of [["1", (api: Api) => api.addMembers("a", ["b"])], ["300", (api: Api) => api.me()]] as const) {
      const { asked, options } = answering(429, { reason: "RATE_LIMITED" }, { "Retry-After": seconds });
      expect(await refused(run(createApi({ ...options, clock })))).toMatchObject({ retryAfterMs: Number(seconds) * 1000 });
      expect(asked).toHaveLength(1);
      expect(clock.nextIn).toBeNull();
    }
  });

  test("an id that the browser would resolve to another path is asked for nowhere", async () => {
    const { asked, options } = answering(200, {});
    const api = createApi(options);
    for (const run of [() => api.channel(".."), () => api.join("."), () => api.mute("..", true), () => api.removeMember("a", "..")]) {
      expect(await refused(run())).toMatchObject({ status: 404, reason: "NOT_FOUND" });
    }
    await api.channel("...");
    expect(asked.map((one) => one.url)).toEqual(["/v1/channels/..."]);
  });

  test("without a development login, devLogin returns null", async () => {
    expect(await devLogin(answering(404, { reason: "NOT_FOUND" }).options, { user: "ada" })).toBeNull();
    expect(await refused(devLogin(answering(400, { reason: "INVALID_ARGUMENT" }).options, { user: "" }))).toMatchObject({ status: 400 });
  });
});
