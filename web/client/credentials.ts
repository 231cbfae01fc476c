/**
 * Owns what the caller is known by: the token or the cookie that counts now, how long it counts, and getting its successor.
 * Leaves when to get one to `renewal`, and to `http` where the server had to say it first.
 */
import { systemClock } from "./clock";
import type { Clock } from "./clock";
import { waysToSignIn } from "./signin";
import type { Where } from "./signin";

/** How long credentials count, by this device's clock. */
export interface Term {
  /** Milliseconds since the epoch. */
  endsAt: number;
  /** From beginning to end, in milliseconds. */
  lifeMs: number;
}

/** Functions without `this`, so that `createApi({ origin, ...credentials })` is all that it takes. */
export interface Credentials {
  /** For `Authorization`; null where the browser's cookie speaks for the caller. */
  token: () => string | null;
  /** Null where the end is not known. */
  term: () => Term | null;
  /**
   * Gets what counts next; false when there is none to be had. Whoever asks meanwhile gets the same answer.
   * Rejects with `Problem` where it cannot be found out now.
   */
  renew: () => Promise<boolean>;
}

/** Tokens, each from `next`: null when there is none any more; a rejection must be a `Problem`. */
export function tokenCredentials(first: string, next: () => Promise<string | null>, clock: Clock = systemClock): Credentials {
  let token = first;
  let term = termOf(first, clock.now());
  return {
    token: () => token,
    term: () => term,
    renew: alone(async () => {
      const fresh = await next();
      if (fresh === null) return false;
      token = fresh;
      term = termOf(fresh, clock.now());
      return true;
    }),
  };
}

/** The browser's cookie, which only the person can renew, by signing in again in whatever window: `renew` finds out whether they did. */
export async function cookieCredentials(where: Where, clock: Clock = systemClock): Promise<Credentials> {
  const asked = async (): Promise<Term | null> => {
    const ways = await waysToSignIn(where);
    if (ways?.signed_in !== true || ways.ends_at === null) return null;
    const endsAt = Date.parse(ways.ends_at);
    return { endsAt, lifeMs: Math.max(0, endsAt - clock.now()) };
  };
  let term = await asked();
  return {
    token: () => null,
    term: () => term,
    renew: alone(async () => {
      const now = await asked();
      const renewed = now !== null && now.endsAt > (term?.endsAt ?? 0);
      if (renewed) term = now;
      return renewed;
    }),
  };
}

/** What a JWT says of its own life. A device's clock may be wrong, so no more is believed than the life that the token was given. */
function termOf(token: string, now: number): Term | null {
  const claims = claimsOf(token);
  const { exp, iat } = claims;
  if (typeof exp !== "number" || typeof iat !== "number" || exp <= iat) return null;
  const lifeMs = (exp - iat) * 1000;
  return { endsAt: now + Math.min(Math.max(0, exp * 1000 - now), lifeMs), lifeMs };
}

function claimsOf(token: string): { exp?: unknown; iat?: unknown } {
  try {
    const part = token.split(".")[1] ?? "";
    const claims: unknown = JSON.parse(atob(part.replaceAll("-", "+").replaceAll("_", "/")));
    return typeof claims === "object" && claims !== null ? claims : {};
  } catch {
    return {};
  }
}

/** One at a time: whoever asks while it runs waits for the same answer. */
function alone(run: () => Promise<boolean>): () => Promise<boolean> {
  let running: Promise<boolean> | null = null;
  return () => (running ??= run().finally(() => (running = null)));
}
