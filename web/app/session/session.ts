/**
 * The session of this tab: signing in and out, and creating the client with the session's credentials.
 * A token is kept in sessionStorage, so that two tabs can have two users. A cookie belongs to the whole browser.
 */
import { chatApi, createHttp, localOutbox, Problem, tokenCredentials, webSocket } from "../../client";
import { cookieCredentials, devLogin, signOut, signInOptions } from "../../client/signin";
import type { Credentials, Me } from "../../client";
import type { SignInOptions } from "../../client/signin";
import { hostCredentials, widgetTenant } from "./host";
import { local, session as store } from "../browser/storage";
import { AppClient } from "../state/appClient";

export interface TokenSession {
  token: string;
  login: { user: string; name?: string; tenant?: string; roles?: readonly string[] };
}

/** `cookie`: the gateway's cookie authenticates the browser. `host`: the page that frames the app provides tokens. */
export type Session = TokenSession | "cookie" | "host";

const storageKey = "hubbub.session";
const outboxPrefix = "hubbub.outbox.";
const origin = "";
const signedInPath = "/signed-in";
const signedInChannel = "hubbub.signed-in";

export function loadSession(): Session | null {
  if (widgetTenant() !== null) return "host";
  const text = store.getItem(storageKey);
  return text === null ? null : parsed(text);
}

/** Null for what is no session. */
function parsed(text: string): TokenSession | null {
  try {
    const found = JSON.parse(text) as Partial<TokenSession> | null;
    return typeof found?.token === "string" && typeof found.login?.user === "string" ? (found as TokenSession) : null;
  } catch {
    return null;
  }
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

type Whose = Pick<Me, "tenant" | "user"> | null;

/** The names under which this browser stores unsent messages: of one user, or of all users for null. */
export function unsentNames(me: Whose): readonly string[] {
  const prefix = me === null ? outboxPrefix : outboxOf(me);
  return Array.from({ length: local.length }, (_, index) => local.key(index)).filter((name) => name?.startsWith(prefix) === true) as string[];
}

/** Deletes what this browser stores about a user, without the session. */
export function forget(me: Whose): void {
  for (const name of unsentNames(me)) local.removeItem(name);
}

/** The prefix of the names under which a user's unsent messages are stored. */
export function outboxOf({ tenant, user }: NonNullable<Whose>): string {
  // Without dots in the id: the names of "ann" must not include those of "ann.lee".
  return `${outboxPrefix}${tenant}.${encodeURIComponent(user).replaceAll(".", "%2E")}.`;
}

/** The user of a session before the server has answered; null where only the server knows. */
export function userOf(session: Session | null): Whose {
  return session === null || typeof session === "string" ? null : { tenant: session.login.tenant ?? "default", user: session.login.user };
}

/** Ends the session and removes it from this browser. Rejects with `Problem`, and leaves the session, unless the server confirms. */
export async function endSession(session: Session | null): Promise<void> {
  if (session === "cookie") await signOut({ origin });
  saveSession(null);
}

/** Removes a session that the server does not accept from this browser. */
export function dropSession(session: Session | null): void {
  endSession(session).catch((error: unknown) => {
    if (!(error instanceof Problem)) throw error;
  });
}

/** The address of the provider's sign-in, which returns to this page. */
export function providerLink(url: string): string {
  const { pathname, hash } = window.location;
  return `${url}?${new URLSearchParams({ next: pathname + hash }).toString()}`;
}

/** Opens the provider's sign-in in a new window, so that this page stays as it is. */
export function signInInNewWindow(): void {
  openSignIn({ next: signedInPath });
}

/** The same, and the provider asks users to prove again who they are. */
export function proveIdentityInNewWindow(): void {
  openSignIn({ next: signedInPath, fresh: "1" });
}

function openSignIn(query: Record<string, string>): void {
  window.open(`/v1/signin?${new URLSearchParams(query).toString()}`, "hubbub-sign-in", "popup,width=480,height=680");
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
export async function openClient(session: Session): Promise<AppClient> {
  const credentials = await credentialsOf(session);
  const http = createHttp({ origin, ...credentials });
  const me = await chatApi(http).me();
  // Only this tenant's pages may frame the widget, so it must not show another tenant.
  if (session === "host" && me.tenant !== widgetTenant()) throw new Problem(403, "NOT_ALLOWED", "");
  return new AppClient({
    me,
    http,
    credentials,
    socket: webSocket(origin),
    storage: localOutbox(outboxOf(me), local),
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
