/** The words for things on screen: people, channels, previews, times, refusals. */
import type { Channel, ClientState, Message } from "../../client";
import { isolated, lineOf } from "./isolation";

export function personName(state: Pick<ClientState, "names">, user: string): string {
  return lineOf(state.names.get(user) ?? user);
}

/** The other user of a direct channel; null for other kinds, and until the members are known. */
export function peerOf(state: Pick<ClientState, "members" | "me">, channel: Channel): string | null {
  if (channel.kind !== "direct") return null;
  if (channel.peer !== null) return channel.peer;
  const members = state.members.get(channel.id)?.members;
  const other = members?.find((m) => m.user !== state.me?.user) ?? members?.[0];
  return other?.user ?? null;
}

export function channelTitle(state: Pick<ClientState, "members" | "me" | "names">, channel: Channel): string {
  const peer = peerOf(state, channel);
  if (peer !== null) return personName(state, peer);
  if (channel.name !== null && channel.name !== "") return lineOf(channel.name);
  return channel.kind === "direct" ? "Direct message" : "Untitled";
}

/** A sentence with marked names: show it with `Sentence`. */
export function previewText(state: Pick<ClientState, "me" | "names">, channel: Channel): string {
  const { last } = channel;
  if (last === null) return channel.topic === null || channel.topic === "" ? "No messages yet" : isolated(channel.topic);
  if (last.sender === state.me?.user) return `You: ${isolated(plainText(last))}`;
  return channel.kind === "direct" ? isolated(plainText(last)) : `${isolated(personName(state, last.sender))}: ${isolated(plainText(last))}`;
}

const numbers = new Intl.NumberFormat();

/** A number with separators between thousands: 5,000. */
export function quantity(count: number): string {
  return numbers.format(count);
}

export function membersCount(count: number): string {
  return `${quantity(count)} ${count === 1 ? "member" : "members"}`;
}

/** In place of content that this client cannot read. */
export const sealedWords = "Encrypted message";

export function plainText(message: Message): string {
  if (message.deleted) return "Message deleted";
  if (message.sealed !== undefined) return sealedWords;
  if (message.text !== null && message.text !== "") return message.text;
  return lineOf(message.attachments[0]?.name ?? "");
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long" });
const shortDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const longDay = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });

const dayMs = 86_400_000;

/** Calendar days between `at` and today. */
function daysAgo(at: Date): number {
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  return Math.ceil((midnight.getTime() - at.getTime()) / dayMs);
}

export function clockTime(at: string): string {
  return clock.format(new Date(at));
}

export function fullTime(at: string): string {
  return full.format(new Date(at));
}

/** For lists: the time if today, else the weekday, else the date. */
export function shortTime(at: string): string {
  const date = new Date(at);
  const days = daysAgo(date);
  if (days <= 0) return clock.format(date);
  if (days === 1) return "Yesterday";
  return days < 7 ? weekday.format(date) : shortDay.format(date);
}

export function dayName(at: string): string {
  const date = new Date(at);
  const days = daysAgo(date);
  if (days <= 0) return "Today";
  return days === 1 ? "Yesterday" : longDay.format(date);
}

export function sameDay(a: string, b: string): boolean {
  return new Date(a).toDateString() === new Date(b).toDateString();
}

/** "Ada", "Ada and Ben", "Ada, Ben and 3 others". */
export function listNames(names: readonly string[], shown = 2): string {
  const [first = "", second = ""] = names;
  if (names.length <= 1) return first;
  if (names.length === 2) return `${first} and ${second}`;
  const rest = names.length - shown;
  return `${names.slice(0, shown).join(", ")} and ${rest} ${rest === 1 ? "other" : "others"}`;
}

/** "10 minutes", "1 day". */
export function spanWords(seconds: number): string {
  const units: readonly [number, string][] = [[86_400, "day"], [3_600, "hour"], [60, "minute"], [1, "second"]];
  const [size, name] = units.find(([unit]) => seconds % unit === 0) ?? [1, "second"];
  const count = seconds / size;
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}

export function fileSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KB", "MB", "GB"];
  const power = Math.min(units.length, Math.floor(Math.log(bytes) / Math.log(1024)));
  return `${(bytes / 1024 ** power).toFixed(power > 1 ? 1 : 0)} ${units[power - 1] ?? ""}`;
}

/** The text for an action that needs a recent sign-in. `Failure` adds the way to it. */
export const signInAgainWords = "Sign in again to do that.";

const reasons: Readonly<Record<string, string>> = {
  NOT_A_MEMBER: "You are not a member of this conversation.",
  SIGN_IN_AGAIN: signInAgainWords,
  NOT_ALLOWED: "You don't have permission to do that.",
  NOT_FOUND: "This no longer exists.",
  TOO_LARGE: "This is too long.",
  KEY_REUSED: "This message was already sent with different text.",
  BLOCKED_MEDIA: "The attachment was rejected.",
  RATE_LIMITED: "You're doing that too fast. Try again in a moment.",
  SLOW_MODE: "Slow mode is on. Try again in a moment.",
  UNAVAILABLE: "The server can't be reached right now.",
  NOT_AUTHENTICATED: "Your session has expired.",
};

/** The text for a refusal. `detail` is shown only for an unknown reason. */
export function refusal({ reason, detail = "", retryAfterMs = null }: { reason: string; detail?: string; retryAfterMs?: number | null }): string {
  if (reason === "RATE_LIMITED" && retryAfterMs !== null && retryAfterMs > 1_000) return `You're doing that too fast. Try again in ${waitWords(retryAfterMs)}.`;
  return reasons[reason] ?? (detail === "" ? "Something went wrong." : detail);
}

/** The text for a refusal of a slash command or an action, which a bot answers. */
export function botRefusal(problem: { status: number; reason: string; detail?: string; retryAfterMs?: number | null }): string {
  if (problem.reason === "UNAVAILABLE" && problem.status !== 0) return "The bot does not answer. Try again in a moment.";
  if (problem.reason === "NOT_FOUND") return "The bot does not take this answer any more.";
  return refusal(problem);
}

/** "12 seconds", "3 minutes": rounded up. */
function waitWords(ms: number): string {
  const seconds = Math.ceil(ms / 1_000);
  return spanWords(seconds < 60 ? seconds : Math.ceil(seconds / 60) * 60);
}

/** The text for a failed sign-in at the identity provider. */
export function signInRefusal(reason: string): string {
  if (reason === "NOT_ALLOWED") return "Your account doesn't have access to Hubbub. Ask your administrator.";
  if (reason === "UNAVAILABLE") return "The sign-in provider is not responding. Try again in a moment.";
  return "Sign-in failed. Please try again.";
}
