/**
 * Owns who is signed in in this tab, and how to go on when the session ends. Leaves the conversation to the client core.
 * A token is kept in sessionStorage, so that two tabs can be two people; a cookie is the browser's, and so is the person.
 */
import { browserSocket, cookieCredentials, createApi, devLogin, HubbubClient, localOutbox, Problem, signOut, tokenCredentials, signInOptions } from "../client";
import type { Credentials, SignInOptions } from "../client";
import { hostCredentials, widgetTenant } from "./host";
import { local, session as store } from "./storage";

export interface TokenSession {
  token: string;
  login: { user: string; name?: string; tenant?: string; roles?: readonly string[] };
}

/** By `cookie` the gateway knows the browser; a `host` page that frames this one gives its tokens. */
export type Session = TokenSession | "cookie" | "host";

const storageKey = "hubbub.session";
const origin = "";
const signedInPath = "/signed-in";
const signedInNews = "hubbub.signed-in";

export function loadSession(): Session | null {
  if (widgetTenant() !== null) return "host";
  const text = store.getItem(storageKey);
  return text === null ? null : (JSON.parse(text) as TokenSession);
}

export function saveSession(session: TokenSession | null): void {
  if (session === null) store.removeItem(storageKey);
  else store.setItem(storageKey, JSON.stringify(session));
}

/** A user id that a person can type again: lower case, without blanks. */
export function userIdFrom(name: string): string {
  const id = name.trim().toLowerCase().replace(/\s+/gu, "-");
  return id.slice(0, 128);
}

/** Null when this server has no development login: the host product must sign people in. Rejects with `Problem`. */
export async function signIn(name: string, tenant: string, admin: boolean): Promise<TokenSession | null> {
  const login: TokenSession["login"] = { user: userIdFrom(name), name: name.trim() };
  if (tenant.trim() !== "") login.tenant = tenant.trim();
  if (admin) login.roles = ["admin"];
  const answer = await devLogin({ origin }, login);
  if (answer === null) return null;
  const session = { token: answer.token, login };
  saveSession(session);
  return session;
}

/** How one can sign in here. A server that does not say is asked by its development form. */
export async function waysIn(): Promise<SignInOptions> {
  return (await signInOptions({ origin })) ?? { development: true, provider: null, signed_in: false, ends_at: null };
}

/** Resolves when nothing of the session is left in this browser. */
export async function endSession(session: Session | null): Promise<void> {
  saveSession(null);
  if (session === "cookie") await signOut({ origin });
}

/** Where the provider's button leads: to the sign-in, and back to this page. */
export function providerLink(url: string): string {
  const { pathname, hash } = window.location;
  return `${url}?${new URLSearchParams({ next: pathname + hash }).toString()}`;
}

/** Opens the provider's sign-in in a window of its own, for whoever wants to go on where they are. */
export function signInBeside(): void {
  const query = new URLSearchParams({ next: signedInPath }).toString();
  window.open(`/v1/signin?${query}`, "hubbub-sign-in", "popup,width=480,height=680");
}

/** What that window does in the end: tells the others, and goes. Says whether this is that window. */
export function isSignedInWindow(): boolean {
  if (window.location.pathname !== signedInPath) return false;
  new BroadcastChannel(signedInNews).postMessage(null);
  window.close();
  return true;
}

/** Calls `run` whenever somebody has signed in in another window. Returns what ends that. */
export function onSignedInElsewhere(run: () => void): () => void {
  const news = new BroadcastChannel(signedInNews);
  news.onmessage = run;
  return () => news.close();
}

/** The reason why a sign-in at the provider failed, once. */
export function takeSignInFailure(): string | null {
  const url = new URL(window.location.href);
  const reason = url.searchParams.get("signin");
  if (reason === null) return null;
  window.history.replaceState(null, "", url.pathname + url.hash);
  return reason;
}

/** Resolves once the server knows the caller. Rejects with `Problem`; 401 when the session is void. */
export async function openClient(session: Session): Promise<HubbubClient> {
  const credentials = await credentialsOf(session);
  const api = createApi({ origin, ...credentials });
  const me = await api.me();
  // The frame is its tenant's pages' to show, and so is what is in it.
  if (session === "host" && me.tenant !== widgetTenant()) throw new Problem(403, "NOT_ALLOWED", "");
  return new HubbubClient({
    me,
    api,
    credentials,
    socket: browserSocket(origin),
    storage: localOutbox(`hubbub.outbox.${me.tenant}.${me.user}.`, local),
    schedule: (run) => setTimeout(run, 0),
  });
}

function credentialsOf(session: Session): Promise<Credentials> | Credentials {
  if (session === "host") return hostCredentials();
  return session === "cookie" ? cookieCredentials({ origin }) : loginCredentials(session);
}

function loginCredentials(session: TokenSession): Credentials {
  return tokenCredentials(session.token, async () => {
    const answer = await devLogin({ origin }, session.login);
    if (answer !== null) saveSession({ ...session, token: answer.token });
    return answer?.token ?? null;
  });
}
