/**
 * `@hubbub/client/signin`: how a browser can sign in at the gateway, credentials by its cookie, signing out, and the user's browser
 * sessions. Scripts never see the cookie.
 */
import { createHttp, Problem, singleFlight, systemClock } from "./index.js";
import type { BrowserSession, Clock, Credentials, Http, HttpOptions, Term } from "./index.js";

/** The ways to sign in at a server. */
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

/** Options of requests without a token. */
export type CookieHttpOptions = Omit<HttpOptions, "token">;

/** Returns null when the server does not answer. */
export function signInOptions(options: CookieHttpOptions): Promise<SignInOptions | null> {
  return anonymous(options).request<SignInOptions>("/v1/signin/options").catch(nullOnProblem);
}

/** Ends the session of this browser. Rejects with `Problem` unless the server confirms that it has ended everywhere. */
export async function signOut(options: CookieHttpOptions): Promise<void> {
  await anonymous(options).request<undefined>("/v1/signout", { method: "POST" });
}

/** Credentials by cookie. Only the user can renew it, by signing in again in any window; `renew` checks whether they did. */
export async function cookieCredentials(options: CookieHttpOptions, clock: Clock = systemClock): Promise<Credentials> {
  const fetchTerm = async (): Promise<Term | null> => {
    const session = await signInOptions(options);
    if (session?.signed_in !== true || session.ends_at === null) return null;
    const endsAt = Date.parse(session.ends_at);
    return { endsAt, lifeMs: Math.max(0, endsAt - clock.now()) };
  };
  let term = await fetchTerm();
  return {
    token: () => null,
    term: () => term,
    renew: singleFlight(async () => {
      const now = await fetchTerm();
      const renewed = now !== null && now.endsAt > (term?.endsAt ?? 0);
      if (renewed) term = now;
      return renewed;
    }),
  };
}

/** The caller's browser sessions in the HTTP API. Every function rejects with `Problem`. */
export function sessionsApi({ request, list }: Http) {
  return {
    /** The browsers in which the caller is signed in, the last used first. */
    all: () => list<BrowserSession>("/v1/me/sessions"),
    end: (id: string) => request<undefined>(`/v1/me/sessions/${encodeURIComponent(id)}`, { method: "DELETE" }),
    /** Ends all sessions but the current one. */
    endOthers: () => request<undefined>("/v1/me/sessions", { method: "DELETE" }),
  };
}

/** Whose token `devLogin` gets. */
export interface DevLogin {
  user: string;
  name?: string;
  /** `default` if absent. */
  tenant?: string;
  roles?: readonly string[];
  /** Seconds: 12 hours if absent. */
  ttl?: number;
}

/** Gets a token of any user from a server with the development login; null where there is none. Rejects with `Problem`. */
export async function devLogin(options: CookieHttpOptions, login: DevLogin): Promise<{ token: string; expires_in: number } | null> {
  try {
    return await anonymous(options).request<{ token: string; expires_in: number }>("/v1/dev/login", { method: "POST", body: login });
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}

function anonymous(options: CookieHttpOptions): Http {
  return createHttp({ ...options, token: () => null });
}

function nullOnProblem(error: unknown): null {
  if (error instanceof Problem) return null;
  throw error;
}
