/** Sign-in by cookie: how a browser can sign in at the gateway, and signing out. Scripts never see the cookie. */
import { createHttp, Problem } from "./http";
import type { HttpOptions } from "./http";

export interface SignInOptions {
  /** The development login is on: any name works. */
  development: boolean;
  /** The identity provider: the label of its button, and where the button leads. */
  provider: { label: string; url: string } | null;
  /** This browser already holds a session. */
  signed_in: boolean;
  /** When that session ends (RFC 3339, UTC). */
  ends_at: string | null;
}

export type CookieHttpOptions = Omit<HttpOptions, "token">;

/** Returns null when the server does not answer. */
export function signInOptions(options: CookieHttpOptions): Promise<SignInOptions | null> {
  const { request } = createHttp({ ...options, token: () => null });
  return request<SignInOptions>("/v1/signin/options").catch(nullOnProblem);
}

/** Ends the session of this browser. Rejects with `Problem` unless the server confirms that it has ended everywhere. */
export async function signOut(options: CookieHttpOptions): Promise<void> {
  const { request } = createHttp({ ...options, token: () => null });
  await request<undefined>("/v1/signout", { method: "POST" });
}

function nullOnProblem(error: unknown): null {
  if (error instanceof Problem) return null;
  throw error;
}
