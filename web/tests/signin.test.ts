/** Sign-in by cookie. */
import { expect, test } from "vitest";

import { signOut, signInOptions } from "../client/signin";

const here = (fetch: typeof globalThis.fetch) => ({ origin: "https://chat.example", fetch });

test("the options of the server are returned unchanged", async () => {
  const offered = { development: false, provider: { label: "Acme", url: "/v1/signin" }, signed_in: true, ends_at: "2026-01-01T12:00:00.000Z" };
  const asked: string[] = [];
  const ways = await signInOptions(
    here((url) => {
      asked.push(new Request(url).url);
      return Promise.resolve(Response.json(offered));
    }),
  );
  expect(ways).toEqual(offered);
  expect(asked).toEqual(["https://chat.example/v1/signin/options"]);
});

test("a server that does not answer is no failure", async () => {
  expect(await signInOptions(here(() => Promise.resolve(new Response("", { status: 404 }))))).toBeNull();
  expect(await signInOptions(here(() => Promise.reject(new TypeError("away"))))).toBeNull();
});

test("signing out is a POST, without a token, and rejects unless the server confirms it", async () => {
  const asked: (RequestInit | undefined)[] = [];
  const answering = (status: number) =>
    here((_, init) => {
      asked.push(init);
      return Promise.resolve(new Response(null, { status }));
    });
  await signOut(answering(204));
  await expect(signOut(answering(503))).rejects.toMatchObject({ status: 503 });
  expect(asked[0]?.method).toBe("POST");
  expect(new Headers(asked[0]?.headers).has("Authorization")).toBe(false);
});
