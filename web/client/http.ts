/**
 * One HTTP request: token, deadline, JSON body, problem+json as a typed error, and one retry with a renewed token.
 * A read that the server refuses for its rate is repeated at the time that the server names; a write is not, its caller decides.
 */
import { systemClock } from "./clock";
import type { Clock } from "./clock";
import type { Page } from "./shapes";

/** Any unsuccessful request. `reason` comes from the protocol; it is `UNAVAILABLE` when no answer arrived. */
export class Problem extends Error {
  /** The HTTP status; 0 when no answer arrived. */
  readonly status: number;
  readonly reason: string;
  readonly detail: string;
  /** Milliseconds; null where the server gave none. */
  readonly retryAfterMs: number | null;

  constructor(status: number, reason: string, detail: string, retryAfterMs: number | null = null) {
    super(detail === "" ? reason : detail);
    this.name = "Problem";
    this.status = status;
    this.reason = reason;
    this.detail = detail;
    this.retryAfterMs = retryAfterMs;
  }
}

/** What requests need. */
export interface HttpOptions {
  /** The API's origin without a trailing slash; empty for the page's own. */
  origin: string;
  /** Null before sign-in, and where the browser's cookie authenticates the caller. */
  token: () => string | null;
  /** Called once after a 401; the request is repeated if it returns true. Rejects with `Problem`. */
  renew?: () => Promise<boolean>;
  fetch?: typeof fetch;
  /** Milliseconds until an unanswered request fails with `UNAVAILABLE`. */
  deadlineMs?: number;
  clock?: Clock;
}

/** One request. `query` leaves out what is undefined; `body` is sent as JSON. */
export interface HttpRequest {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  query?: Readonly<Record<string, string | number | undefined>>;
  body?: unknown;
}

/** Every function rejects with `Problem` and nothing else. */
export interface Http {
  /** Returns the answer's JSON; undefined for 204. */
  request: <T>(path: string, request?: HttpRequest) => Promise<T>;
  /** Returns the items of a list. Follows `next` to the end, unless `query` has a limit. */
  list: <T>(path: string, query?: HttpRequest["query"]) => Promise<readonly T[]>;
  /** Returns the answer's bytes, after any redirects. */
  download: (path: string, request?: HttpRequest) => Promise<Blob>;
}

const unauthorized = 401;
const rateLimited = 429;
/** How often a read is repeated, and the longest wait for which it is. */
const repeatsMax = 3;
const waitMaxMs = 30_000;

/** Makes requests with a token, a deadline and one renewal. Used by every API function. */
export function createHttp(options: HttpOptions): Http {
  const clock = options.clock ?? systemClock;
  const fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  const send = (path: string, { method = "GET", query, body }: HttpRequest, token: string | null): Promise<Response> => {
    const headers: Record<string, string> = {};
    if (token !== null) headers["Authorization"] = `Bearer ${token}`;
    const init: RequestInit = { method, headers, signal: AbortSignal.timeout(options.deadlineMs ?? 10_000) };
    if (body !== undefined) {
      headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(body);
    }
    return fetch(options.origin + path + queryString(query), init).catch(unreachable);
  };
  const sendRenewing = async (path: string, request: HttpRequest = {}): Promise<Response> => {
    // The browser would resolve the segment and ask for another resource. No id is spelled like that.
    if (path.split("/").some((segment) => segment === "." || segment === "..")) throw new Problem(404, "NOT_FOUND", "");
    const token = options.token();
    let response = await send(path, request, token);
    if (response.status === unauthorized && options.renew !== undefined) {
      const renewed = options.token() !== token || (await options.renew());
      if (renewed) response = await send(path, request, options.token());
    }
    if (!response.ok) throw await problem(response);
    return response;
  };
  const sendPatiently = async (path: string, request: HttpRequest = {}): Promise<Response> => {
    for (let repeats = 0; ; repeats++) {
      try {
        return await sendRenewing(path, request);
      } catch (error) {
        const waitMs = error instanceof Problem && error.status === rateLimited ? error.retryAfterMs : null;
        const isRead = (request.method ?? "GET") === "GET";
        if (waitMs === null || !isRead || repeats === repeatsMax || waitMs > waitMaxMs) throw error;
        // Readers that were refused together do not come back together.
        await new Promise<void>((resolve) => clock.after(waitMs * (1 + clock.random() / 4), resolve));
      }
    }
  };
  const request = async <T>(path: string, request?: HttpRequest) => {
    const response = await sendPatiently(path, request);
    return (response.status === 204 ? undefined : await response.json().catch(unreachable)) as T;
  };
  return {
    request,
    list: async <T>(path: string, query: HttpRequest["query"] = {}) => {
      const all: T[] = [];
      let cursor: string | undefined;
      do {
        const page: Page<T> = await request<Page<T>>(path, { query: { ...query, cursor } });
        all.push(...page.items);
        cursor = page.next;
      } while (cursor !== undefined && query["limit"] === undefined);
      return all;
    },
    download: async (path, request) => (await sendPatiently(path, request)).blob().catch(unreachable),
  };
}

/** Throws the `Problem` of a server that does not answer, because of `error`. */
export function unreachable(error: unknown): never {
  throw new Problem(0, "UNAVAILABLE", error instanceof Error ? error.message : "");
}

function queryString(query: HttpRequest["query"]): string {
  const pairs = Object.entries(query ?? {}).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
  return pairs.length === 0 ? "" : `?${new URLSearchParams(pairs).toString()}`;
}

async function problem(response: Response): Promise<Problem> {
  const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
  const retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : null;
  const body: unknown = await response.json().catch(() => null);
  const field = (name: string) => {
    const value = typeof body === "object" && body !== null ? (body as Record<string, unknown>)[name] : undefined;
    return typeof value === "string" ? value : "";
  };
  const reason = field("reason") || (response.status >= 500 ? "UNAVAILABLE" : "INVALID_ARGUMENT");
  return new Problem(response.status, reason, field("detail") || field("title"), retryAfterMs);
}
