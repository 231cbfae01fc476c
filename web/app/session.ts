/**
 * Owns who is signed in in this tab: the token and how to get the next one. Leaves the conversation to the client core.
 * Kept in sessionStorage, so that two tabs can be two people.
 */
import { browserSocket, createApi, devLogin, HubbubClient, localOutbox } from "../client";
import type { Me } from "../client";

export interface Session {
  token: string;
  login: { user: string; name?: string; tenant?: string };
}

const storageKey = "hubbub.session";
const origin = "";

export function loadSession(): Session | null {
  const text = sessionStorage.getItem(storageKey);
  return text === null ? null : (JSON.parse(text) as Session);
}

export function saveSession(session: Session | null): void {
  if (session === null) sessionStorage.removeItem(storageKey);
  else sessionStorage.setItem(storageKey, JSON.stringify(session));
}

/** A user id that a person can type again: lower case, without blanks. */
export function userIdFrom(name: string): string {
  const id = name.trim().toLowerCase().replace(/\s+/gu, "-");
  return id.slice(0, 128);
}

/** Null when this server has no development login: the host product must sign people in. Rejects with `Problem`. */
export async function signIn(name: string, tenant: string): Promise<Session | null> {
  const login: Session["login"] = { user: userIdFrom(name), name: name.trim() };
  if (tenant.trim() !== "") login.tenant = tenant.trim();
  const answer = await devLogin({ origin }, login);
  if (answer === null) return null;
  const session = { token: answer.token, login };
  saveSession(session);
  return session;
}

/** Resolves once the server knows the caller. Rejects with `Problem`; 401 when the session is void. */
export async function openClient(session: Session): Promise<HubbubClient> {
  let { token } = session;
  const renew = async () => {
    const answer = await devLogin({ origin }, session.login).catch(() => null);
    if (answer === null) return false;
    token = answer.token;
    saveSession({ ...session, token });
    return true;
  };
  const api = createApi({ origin, token: () => token });
  const me: Me = await api.me();
  return new HubbubClient({
    me,
    api,
    renew,
    socket: browserSocket(origin),
    storage: localOutbox(`hubbub.outbox.${me.tenant}.${me.user}.`, localStorage),
    schedule: (run) => setTimeout(run, 0),
  });
}
