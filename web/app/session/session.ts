/**
 * The session of this tab: signing in and out, and creating the client with the session's credentials.
 * A token is kept in sessionStorage, so that two tabs can have two users. A cookie belongs to the whole browser.
 */
import { browserSocket, cookieCredentials, createApi, devLogin, HubbubClient, localOutbox, Problem, signOut, tokenCredentials, signInOptions } from "../../client";
import type { Credentials, SignInOptions } from "../../client";
import { hostCredentials, widgetTenant } from "./host";
import { local, session as store } from "../browser/storage";

export interface TokenSession {
  token: string;
  login: { user: string; name?: string; tenant?: string; roles?: readonly string[] };
}

/** `cookie`: the gateway's cookie authenticates the browser. `host`: the page that frames the app provides tokens. */
export type Session = TokenSession | "cookie" | "host";

const storageKey = "hubbub.session";
const origin = "";
const signedInPath = "/signed-in";
const signedInChannel = "hubbub.signed-in";

export function loadSession(): Session | null {
  if (widgetTenant() !== null) return "host";
  const text = store.getItem(storageKey);
  return text === null ? null : (JSON.parse(text) as TokenSession);
}

function saveSession(session: TokenSession | null): void {
  if (session === null) store.removeItem(storageKey);
  else store.setItem(storageKey, JSON.stringify(session));
}

/** A user id that is easy to type again: lower case, without spaces. */
function userIdFrom(name: string): string {
  const id = name.trim().toLowerCase().replace(/\s+/gu, "-");
  return id.slice(0, 128);
}

/** Signs in with the development login. Returns null where the server has none. Rejects with `Problem`. */
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

/** The ways to sign in. For a server that does not answer, the development login is assumed. */
export async function availableSignIn(): Promise<SignInOptions> {
  return (await signInOptions({ origin })) ?? { development: true, provider: null, signed_in: false, ends_at: null };
}

/** Removes the session from this browser. */
export async function endSession(session: Session | null): Promise<void> {
  saveSession(null);
  if (session === "cookie") await signOut({ origin });
}

/** The address of the provider's sign-in, which returns to this page. */
export function providerLink(url: string): string {
  const { pathname, hash } = window.location;
  return `${url}?${new URLSearchParams({ next: pathname + hash }).toString()}`;
}

/** Opens the provider's sign-in in a new window, so that this page stays as it is. */
export function signInInNewWindow(): void {
  const query = new URLSearchParams({ next: signedInPath }).toString();
  window.open(`/v1/signin?${query}`, "hubbub-sign-in", "popup,width=480,height=680");
}

/** In the window of a finished sign-in: notifies the other windows and closes. Returns whether this is that window. */
export function closeSignInWindow(): boolean {
  if (window.location.pathname !== signedInPath) return false;
  new BroadcastChannel(signedInChannel).postMessage(null);
  window.close();
  return true;
}

/** Calls `run` after a sign-in in another window. Returns the function that ends the subscription. */
export function onSignedInElsewhere(run: () => void): () => void {
  const channel = new BroadcastChannel(signedInChannel);
  channel.onmessage = run;
  return () => channel.close();
}

/** Returns why the sign-in at the provider failed, and removes it from the address. */
export function takeSignInFailure(): string | null {
  const url = new URL(window.location.href);
  const reason = url.searchParams.get("signin");
  if (reason === null) return null;
  window.history.replaceState(null, "", url.pathname + url.hash);
  return reason;
}

/** Creates the client once the server has accepted the session. Rejects with `Problem`; 401 means the session is void. */
export async function openClient(session: Session): Promise<HubbubClient> {
  const credentials = await credentialsOf(session);
  const api = createApi({ origin, ...credentials });
  const me = await api.me();
  // Only this tenant's pages may frame the widget, so it must not show another tenant.
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
