/**
 * Owns who is signed in in this tab, and how to go on when the session ends. Leaves the conversation to the client core.
 * A token is kept in sessionStorage, so that two tabs can be two people; a cookie is the browser's, and so is the person.
 */
import { browserSocket, createApi, devLogin, HubbubClient, localOutbox, signOut, waysToSignIn } from "../client";
import type { Api, Me, WaysToSignIn } from "../client";

export interface TokenSession {
  token: string;
  login: { user: string; name?: string; tenant?: string };
}

/** The gateway knows the browser by its cookie. */
export type Session = TokenSession | "cookie";

const storageKey = "hubbub.session";
const origin = "";

export function loadSession(): Session | null {
  const text = sessionStorage.getItem(storageKey);
  return text === null ? null : (JSON.parse(text) as TokenSession);
}

export function saveSession(session: TokenSession | null): void {
  if (session === null) sessionStorage.removeItem(storageKey);
  else sessionStorage.setItem(storageKey, JSON.stringify(session));
}

/** A user id that a person can type again: lower case, without blanks. */
export function userIdFrom(name: string): string {
  const id = name.trim().toLowerCase().replace(/\s+/gu, "-");
  return id.slice(0, 128);
}

/** Null when this server has no development login: the host product must sign people in. Rejects with `Problem`. */
export async function signIn(name: string, tenant: string): Promise<TokenSession | null> {
  const login: TokenSession["login"] = { user: userIdFrom(name), name: name.trim() };
  if (tenant.trim() !== "") login.tenant = tenant.trim();
  const answer = await devLogin({ origin }, login);
  if (answer === null) return null;
  const session = { token: answer.token, login };
  saveSession(session);
  return session;
}

/** How one can sign in here. A server that does not say is asked by its development form. */
export async function waysIn(): Promise<WaysToSignIn> {
  return (await waysToSignIn({ origin })) ?? { development: true, provider: null, signed_in: false };
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
  return session === "cookie" ? openWithCookie() : openWithToken(session);
}

/** The session may have been renewed in another tab, but must still be the same person's. */
async function openWithCookie(): Promise<HubbubClient> {
  const api = createApi({ origin, token: () => null });
  const me = await api.me();
  const renew = () =>
    api.me().then(
      (now) => now.user === me.user && now.tenant === me.tenant,
      () => false,
    );
  return clientOf(api, me, renew);
}

async function openWithToken(session: TokenSession): Promise<HubbubClient> {
  let { token } = session;
  const renew = async () => {
    const answer = await devLogin({ origin }, session.login).catch(() => null);
    if (answer === null) return false;
    token = answer.token;
    saveSession({ ...session, token });
    return true;
  };
  const api = createApi({ origin, token: () => token });
  return clientOf(api, await api.me(), renew);
}

function clientOf(api: Api, me: Me, renew: () => Promise<boolean>): HubbubClient {
  return new HubbubClient({
    me,
    api,
    renew,
    socket: browserSocket(origin),
    storage: localOutbox(`hubbub.outbox.${me.tenant}.${me.user}.`, localStorage),
    schedule: (run) => setTimeout(run, 0),
  });
}
