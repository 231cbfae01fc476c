/** Owns how a person's browser comes to be signed in at the gateway itself, by a cookie that no script sees; leaves tokens to `api`. */
import { createHttp, Problem } from "./http";
import type { HttpOptions } from "./http";

export interface WaysToSignIn {
  /** Any name works. */
  development: boolean;
  /** Where to send the browser, and what to call it. */
  provider: { label: string; url: string } | null;
  /** This browser holds a session already. */
  signed_in: boolean;
  /** When that session ends (RFC 3339, UTC). */
  ends_at: string | null;
}

export type Where = Omit<HttpOptions, "token">;

/** Null when the server does not say. */
export async function waysToSignIn(options: Where): Promise<WaysToSignIn | null> {
  const { ask } = createHttp({ ...options, token: () => null });
  return ask<WaysToSignIn>("/v1/signin/options").catch(nothing);
}

/** Takes the session's cookie from this browser; a server that does not answer leaves it. */
export async function signOut(options: Where): Promise<void> {
  const { ask } = createHttp({ ...options, token: () => null });
  await ask<undefined>("/v1/signout", { method: "POST" }).catch(nothing);
}

function nothing(error: unknown): null {
  if (error instanceof Problem) return null;
  throw error;
}
