/** Uploading a file, step by step. */
import { describe, expect, test } from "vitest";

import { createHttp, Problem } from "../client/http";
import { upload } from "../client/upload";
import { FakeClock, settled } from "./fakeClock";

const file = new File(["hello"], "a.txt", { type: "text/plain" });
const shape = { id: "u1", name: "a.txt", size: 5, type: "text/plain" };

function bench(states: readonly object[], storageStatus = 204, fields?: Record<string, string>) {
  const clock = new FakeClock();
  const answers = [{ id: "u1", state: "pending", upload: { method: fields ? "POST" : "PUT", url: "http://storage/x", headers: { "x-a": "b" }, fields } }, ...states];
  const asked: string[] = [];
  const stored: RequestInit[] = [];
  const http = createHttp({
    origin: "",
    token: () => "t",
    fetch: (url, init) => {
      asked.push(`${init?.method ?? ""} ${url as string}`);
      return Promise.resolve(new Response(JSON.stringify(answers.shift())));
    },
  });
  const storage = (_url: string | URL | Request, init?: RequestInit) => {
    stored.push(init ?? {});
    return Promise.resolve(new Response(null, { status: storageStatus }));
  };
  const controller = new AbortController();
  const run = () => upload(http, file, "c1", { signal: controller.signal, clock, fetch: storage });
  return { run, clock, asked, stored, controller };
}

const outcome = (promise: Promise<unknown>) => promise.then(() => null, (error: unknown) => error);

describe("upload", () => {
  test("requests a slot, sends the bytes without the token, and waits until they are clean", async () => {
    const { run, clock, asked, stored } = bench([{ ...shape, state: "scanning" }, { ...shape, state: "scanning" }, { ...shape, state: "clean" }]);
    const done = run();
    for (let n = 0; n < 8; n++) {
      await settled();
      clock.advance(1_000);
    }
    expect(await done).toEqual({ ...shape, width: null, height: null });
    expect(asked).toEqual(["POST /v1/uploads", "POST /v1/uploads/u1/complete", "GET /v1/uploads/u1", "GET /v1/uploads/u1"]);
    expect(stored[0]).toMatchObject({ method: "PUT", headers: { "x-a": "b" }, body: file });
  });

  test("in a form upload the file is the last field and named file", async () => {
    const { run, stored } = bench([{ ...shape, state: "clean" }], 204, { key: "k", policy: "p" });
    await run();
    expect([...(stored[0]?.body as FormData).keys()]).toEqual(["key", "policy", "file"]);
  });

  test.each(["blocked", "failed"])("a %s file is refused with the server's reason", async (state) => {
    const { run } = bench([{ ...shape, state, reason: "virus" }]);
    expect(await outcome(run())).toMatchObject({ reason: "BLOCKED_MEDIA", detail: "virus" });
  });

  test("a storage that refuses is a problem, and nothing is completed", async () => {
    const { run, asked } = bench([], 403);
    expect(await outcome(run())).toBeInstanceOf(Problem);
    expect(asked).toEqual(["POST /v1/uploads"]);
  });

  test("an aborted upload stops polling", async () => {
    const { run, clock, controller, asked } = bench([{ ...shape, state: "scanning" }]);
    const ended = outcome(run());
    await settled();
    controller.abort();
    clock.advance(1_000);
    expect(await ended).toBe(controller.signal.reason);
    expect(asked).toHaveLength(2);
  });
});
