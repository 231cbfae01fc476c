/**
 * The caller's credentials: the current token or cookie, when it expires, and how to get the next one.
 * `renewal` renews them ahead of their expiry, `http` after a 401.
 */
import { systemClock } from "./clock";
import type { Clock } from "./clock";
import { Problem, unreachable } from "./http";

/** The validity of credentials, by this device's clock. */
export interface Term {
  /** Milliseconds since the epoch. */
  endsAt: number;
  /** The whole lifetime, in milliseconds. */
  lifeMs: number;
}

/** The functions do not use `this`, so that they can be spread: `createApi({ origin, ...credentials })`. */
export interface Credentials {
  /** For the `Authorization` header; null where the browser's cookie authenticates the caller. */
  token: () => string | null;
  /** Null where the expiry is unknown. */
  term: () => Term | null;
  /**
   * Gets the next credentials. Returns false when there are none: the caller must sign in again.
   * Concurrent calls share one renewal. Rejects with `Problem` when the answer is unknown for now.
   */
  renew: () => Promise<boolean>;
}

/**
 * Credentials by token. `next` returns the following token, or null when there is none. An error other than `Problem` counts as
 * `UNAVAILABLE`: it is called again later.
 */
export function tokenCredentials(first: string, next: () => Promise<string | null>, clock: Clock = systemClock): Credentials {
  let token = first;
  let term = termOf(first, clock.now());
  return {
    token: () => token,
    term: () => term,
    renew: singleFlight(async () => {
      const fresh = await next().catch((error: unknown) => (error instanceof Problem ? Promise.reject(error) : unreachable(error)));
      if (fresh === null) return false;
      token = fresh;
      term = termOf(fresh, clock.now());
      return true;
    }),
  };
}

/** The validity that a JWT states. The device's clock may be wrong, so the rest is never longer than the token's lifetime. */
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

/** Calls made while `run` is under way share its answer. */
export function singleFlight(run: () => Promise<boolean>): () => Promise<boolean> {
  let running: Promise<boolean> | null = null;
  return () => (running ??= run().finally(() => (running = null)));
}
