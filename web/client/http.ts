/** Owns one HTTP question: token, deadline, JSON, problem+json as a typed error, and once more with a new token. Leaves paths and retries to `api` and its callers. */

/** An answer that is not a success. `reason` is one of the protocol's, or `UNAVAILABLE` when no answer came at all. */
export class Problem extends Error {
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

export interface HttpOptions {
  /** Where the API lives, without a trailing slash; empty for the page's own origin. */
  origin: string;
  /** Null before sign-in, and where the browser's cookie speaks for the caller. */
  token: () => string | null;
  /** Asked once where the server no longer knows the caller; when it says true the question is put again. Rejects with `Problem`. */
  renew?: () => Promise<boolean>;
  fetch?: typeof fetch;
  /** Milliseconds until a question without an answer fails with `UNAVAILABLE`. */
  deadlineMs?: number;
}

export interface Question {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  query?: Readonly<Record<string, string | number | undefined>>;
  body?: unknown;
}

export interface Http {
  /** The answer's JSON; undefined for 204. */
  ask: <T>(path: string, question?: Question) => Promise<T>;
  /** The answer's bytes, from wherever the server redirects to. */
  bytes: (path: string, question?: Question) => Promise<Blob>;
}

const unauthorized = 401;

/** Both reject with `Problem` and nothing else. */
export function createHttp(options: HttpOptions): Http {
  const send = options.fetch ?? globalThis.fetch.bind(globalThis);
  const put = (path: string, question: Question, token: string | null): Promise<Response> => {
    const headers: Record<string, string> = {};
    if (token !== null) headers["Authorization"] = `Bearer ${token}`;
    const init: RequestInit = {
      method: question.method ?? "GET",
      headers,
      signal: AbortSignal.timeout(options.deadlineMs ?? 10_000),
    };
    if (question.body !== undefined) {
      headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(question.body);
    }
    return send(options.origin + path + search(question.query), init).catch(unreachable);
  };
  const respond = async (path: string, question: Question = {}): Promise<Response> => {
    const token = options.token();
    let response = await put(path, question, token);
    if (response.status === unauthorized && options.renew !== undefined) {
      const renewed = options.token() !== token || (await options.renew());
      if (renewed) response = await put(path, question, options.token());
    }
    if (!response.ok) throw await problem(response);
    return response;
  };
  return {
    ask: async <T>(path: string, question?: Question) => {
      const response = await respond(path, question);
      return (response.status === 204 ? undefined : await response.json().catch(unreachable)) as T;
    },
    bytes: async (path, question) => (await respond(path, question)).blob().catch(unreachable),
  };
}

function unreachable(error: unknown): never {
  throw new Problem(0, "UNAVAILABLE", error instanceof Error ? error.message : "");
}

function search(query: Question["query"]): string {
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
