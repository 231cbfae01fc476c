/**
 * Requests tokens from the host page that frames the app, and accepts nothing else from it. The browser enforces the tenant's
 * `frame-ancestors`, so the parent is one of the tenant's pages.
 */
import { Problem, tokenCredentials } from "../../client";
import type { Credentials } from "../../client";

const prefix = "/widget/";
/** Long enough for the host page to ask its server or its user. */
const answerMs = 30_000;

/** The tenant whose widget this page is; null where it is the full app. */
export function widgetTenant(): string | null {
  const { pathname } = window.location;
  return pathname.startsWith(prefix) ? pathname.slice(prefix.length) : null;
}

/** Rejects with `Problem` if the host page provides no token. */
export async function hostCredentials(): Promise<Credentials> {
  const first = await requestToken();
  if (first === null) throw new Problem(401, "NOT_AUTHENTICATED", "");
  return tokenCredentials(first, requestToken);
}

let count = 0;

/** Returns null when the host page answers that there is none. */
function requestToken(): Promise<string | null> {
  const ref = (count += 1);
  return new Promise((resolve, reject) => {
    const done = new AbortController();
    const timer = setTimeout(() => {
      done.abort();
      reject(new Problem(0, "UNAVAILABLE", "The host page did not provide a token."));
    }, answerMs);
    const onMessage = ({ source, data }: MessageEvent<unknown>) => {
      if (source !== window.parent || !isAnswer(data) || data.ref !== ref) return;
      clearTimeout(timer);
      done.abort();
      if (data.failed === true) reject(new Problem(0, "UNAVAILABLE", "The host page did not provide a token."));
      else resolve(data.token);
    };
    window.addEventListener("message", onMessage, { signal: done.signal });
    // The request contains no secret, so any parent may read it.
    window.parent.postMessage({ hubbub: "token", ref }, "*");
  });
}

interface Answer {
  hubbub: "token";
  ref: number;
  token: string | null;
  /** The host page could not tell. */
  failed?: boolean;
}

function isAnswer(data: unknown): data is Answer {
  if (typeof data !== "object" || data === null) return false;
  const { hubbub, token } = data as Partial<Answer>;
  return hubbub === "token" && (token === null || typeof token === "string");
}
