/**
 * Owns the talk with the page that frames this one: it is asked for tokens, and nothing else of it is believed. Who may frame
 * us is enforced by the browser (`frame-ancestors` of the tenant), so our parent is one of the tenant's pages.
 */
import { Problem, tokenCredentials } from "../client";
import type { Credentials } from "../client";

const prefix = "/widget/";
/** The host page may have to ask its own server, or its person. */
const answerMs = 30_000;

/** The tenant whose widget this page is; null where it is the app itself. */
export function widgetTenant(): string | null {
  const { pathname } = window.location;
  return pathname.startsWith(prefix) ? pathname.slice(prefix.length) : null;
}

/** Rejects with `Problem` where the host page gives no token. */
export async function hostCredentials(): Promise<Credentials> {
  const first = await askForToken();
  if (first === null) throw new Problem(401, "NOT_AUTHENTICATED", "");
  return tokenCredentials(first, askForToken);
}

let count = 0;

/** Null when the host page says that there is none. */
function askForToken(): Promise<string | null> {
  const ref = (count += 1);
  return new Promise((resolve, reject) => {
    const ended = new AbortController();
    const timer = setTimeout(() => {
      ended.abort();
      reject(new Problem(0, "UNAVAILABLE", "The page around this one gives no token."));
    }, answerMs);
    const hear = ({ source, data }: MessageEvent<unknown>) => {
      if (source !== window.parent || !isAnswer(data) || data.ref !== ref) return;
      clearTimeout(timer);
      ended.abort();
      if (data.failed === true) reject(new Problem(0, "UNAVAILABLE", "The page around this one gives no token."));
      else resolve(data.token);
    };
    window.addEventListener("message", hear, { signal: ended.signal });
    // Nothing in it is secret, so whoever the parent is may read it.
    window.parent.postMessage({ hubbub: "token", ref }, "*");
  });
}

interface Answer {
  hubbub: "token";
  ref: number;
  token: string | null;
  /** It could not be found out now. */
  failed?: boolean;
}

function isAnswer(data: unknown): data is Answer {
  if (typeof data !== "object" || data === null) return false;
  const { hubbub, token } = data as Partial<Answer>;
  return hubbub === "token" && (token === null || typeof token === "string");
}
