/**
 * Unsent messages: keeps them across reloads, sends them in order per channel, and repeats each under the same key until the
 * server answers.
 *
 * Guarantee: an item leaves the outbox only when the server has stored the message, or when its author discards it. Sending an
 * item twice (after a reconnect, or from two tabs) is harmless: the server stores one message per key. So messages that were
 * stored in the last two minutes are sent again if the server's store has lost entries (`lost`); a reload forgets them.
 */
import type { Cancel, Clock } from "./clock";
import type { Ack, ErrorFrame, SendFrame } from "./frames";
import { Problem } from "./http";
import type { Attachment } from "./shapes";

/** A message to send. */
export interface Draft {
  channel: string;
  /** At most `limits.text_bytes` of UTF-8; may be empty only with attachments. */
  text: string;
  /** Content that only clients can read, in base64. It is sent instead of `text`, which then stays on this device. */
  sealed?: string;
  /** The id of the message that this one replies to. */
  thread?: string;
  /** At most 10, from `upload`. */
  attachments?: readonly Attachment[];
  /** User ids, at most 100. */
  mentions?: readonly string[];
}

/** Where a message is stored. */
export interface Stored {
  /** The message's id. */
  message: string;
  /** Its number in the channel's log. */
  seq: number;
  /** RFC 3339, UTC. */
  at: string;
}

/** The progress of a message in the outbox. */
export type ItemState =
  /** Waits for its turn, for a connection, or because the server asked to wait: `reason` is the server's. */
  | { name: "waiting"; reason?: string }
  | { name: "sending" }
  /** Stored with this number; shown until its event arrives. */
  | { name: "stored"; seq: number }
  /** The server refused it for good. The author can `retry` or `discard` it. */
  | { name: "failed"; reason: string; detail: string };

/** A message in the outbox. */
export interface OutboxItem extends Draft {
  key: string;
  /** When the author sent it, in milliseconds since the epoch. */
  writtenAt: number;
  state: ItemState;
}

/** Keeps unsent items across reloads. Implementations must not throw; an item that could not be stored is lost on a reload. */
export interface OutboxStorage {
  load(): readonly OutboxItem[];
  put(item: OutboxItem): void;
  remove(key: string): void;
}

export interface OutboxOptions {
  storage: OutboxStorage;
  clock: Clock;
  newKey: () => string;
  /** Sends a frame if the connection is ready; returns whether it did. */
  send: (frame: SendFrame) => boolean;
  changed: (items: readonly OutboxItem[]) => void;
}

/** Reasons for which the same frame may succeed later. */
const retryable = new Set(["RATE_LIMITED", "SLOW_MODE", "UNAVAILABLE", "INTERNAL"]);
/** An item without an answer is sent again after this long. */
const answerMs = 10_000;
const defaultRetryMs = 2_000;
/** Stored items are sent again for this long if the store loses entries, but at most this many of them. */
const recentMs = 120_000;
const recentMax = 200;

interface Waiter {
  resolve: (stored: Stored) => void;
  reject: (problem: Problem) => void;
}

export class Outbox {
  readonly #options: OutboxOptions;
  /** Callers of `stored`, by key. */
  readonly #waiters = new Map<string, Waiter>();
  #items: readonly OutboxItem[];
  /** Channels whose first item waits for an answer or for a retry. */
  readonly #timers = new Map<string, Cancel>();
  /** Items that were stored lately, and when. */
  #recent: readonly { item: OutboxItem; at: number }[] = [];

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#items = [...options.storage.load()]
      .map((item) => (item.state.name === "failed" ? item : { ...item, state: { name: "waiting" as const } }))
      .sort((a, b) => a.writtenAt - b.writtenAt);
    options.changed(this.#items);
  }

  add(draft: Draft): OutboxItem {
    const { clock, newKey, storage } = this.#options;
    const item: OutboxItem = { ...draft, key: newKey(), writtenAt: clock.now(), state: { name: "waiting" } };
    storage.put(item);
    this.#replace([...this.#items, item]);
    this.#sendNext(item.channel);
    return item;
  }

  /**
   * Waits until the item is stored. Rejects with `Problem`: the server's reason if it refused the message for good,
   * `DISCARDED`, or `UNAVAILABLE` after `stopped`.
   */
  stored(key: string): Promise<Stored> {
    return new Promise((resolve, reject) => this.#waiters.set(key, { resolve, reject }));
  }

  /** The client stops: the items stay in the storage. */
  stopped(): void {
    for (const key of [...this.#waiters.keys()]) this.#failed(key, "UNAVAILABLE", "The client was stopped.");
  }

  retry(key: string): void {
    const item = this.#find(key);
    if (item?.state.name !== "failed") return;
    // The server may refuse the key again, so a retry is a new message.
    this.#drop(key);
    this.add(item);
  }

  discard(key: string): void {
    const item = this.#find(key);
    if (item === undefined) return;
    this.#drop(key);
    this.#failed(key, "DISCARDED", "");
    if (item.state.name === "sending") this.#release(item.channel);
    this.#sendNext(item.channel);
  }

  /** The connection is ready to send. */
  opened(): void {
    for (const channel of new Set(this.#items.map((item) => item.channel))) this.#sendNext(channel);
  }

  /** The connection closed: unanswered items will be sent again. */
  closed(): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#replace(this.#items.map((item) => (item.state.name === "sending" ? waiting(item) : item)));
  }

  /** Returns false when `ref` belongs to no item. */
  acked(ack: Ack): boolean {
    const item = ack.ref === undefined ? undefined : this.#find(ack.ref);
    if (item === undefined) return false;
    this.#options.storage.remove(item.key);
    this.#remember(item);
    this.#succeeded(item.key, ack);
    this.#set({ ...item, state: { name: "stored", seq: ack.seq } });
    this.#release(item.channel);
    this.#sendNext(item.channel);
    return true;
  }

  /** Returns false when `ref` belongs to no item. */
  refused(error: ErrorFrame): boolean {
    const item = error.ref === undefined ? undefined : this.#find(error.ref);
    if (item === undefined) return false;
    this.#release(item.channel);
    if (error.retry_after !== undefined || retryable.has(error.reason)) {
      this.#set({ ...item, state: { name: "waiting", reason: error.reason } });
      this.#block(item.channel, error.retry_after === undefined ? defaultRetryMs : error.retry_after * 1000);
      return true;
    }
    const failed: OutboxItem = { ...item, state: { name: "failed", reason: error.reason, detail: error.detail ?? "" } };
    this.#options.storage.put(failed);
    this.#set(failed);
    this.#failed(item.key, error.reason, error.detail ?? "");
    this.#sendNext(item.channel);
    return true;
  }

  /** The message with `key` is in the log, so it is stored, even if another tab sent it. */
  seen(key: string, stored: Stored): void {
    const item = this.#find(key);
    if (item === undefined) return;
    this.#succeeded(key, stored);
    if (item.state.name !== "stored") this.#remember(item);
    this.#drop(key);
    if (item.state.name === "sending") this.#release(item.channel);
    this.#sendNext(item.channel);
  }

  /** The server's store has lost entries: sends again what it stored lately, which is harmless for what it still has. */
  lost(): void {
    const since = this.#options.clock.now() - recentMs;
    const again = this.#recent.filter(({ at }) => at >= since).map(({ item }) => waiting(item));
    const keys = new Set(again.map((item) => item.key));
    this.#recent = [];
    for (const item of again) this.#options.storage.put(item);
    const others = this.#items.filter((item) => item.state.name !== "stored" && !keys.has(item.key));
    this.#replace([...again, ...others].sort((a, b) => a.writtenAt - b.writtenAt));
  }

  /** The log is applied up to `seq`: stored items up to there are now shown as messages. */
  applied(channel: string, seq: number): void {
    const shown = (item: OutboxItem) => item.channel === channel && item.state.name === "stored" && item.state.seq <= seq;
    if (this.#items.some(shown)) this.#replace(this.#items.filter((item) => !shown(item)));
  }

  /** Sends the channel's first waiting item, unless one is unanswered or the channel waits for a retry. */
  #sendNext(channel: string): void {
    if (this.#timers.has(channel)) return;
    const next = this.#items.find((item) => item.channel === channel && item.state.name === "waiting");
    if (next === undefined || !this.#options.send(toFrame(next))) return;
    this.#set({ ...next, state: { name: "sending" } });
    this.#block(channel, answerMs, () => {
      const unanswered = this.#find(next.key);
      if (unanswered?.state.name === "sending") this.#set(waiting(unanswered));
    });
  }

  /** Sends nothing to the channel for `ms`, or until it is released. */
  #block(channel: string, ms: number, timedOut?: () => void): void {
    const cancel = this.#options.clock.after(ms, () => {
      this.#timers.delete(channel);
      timedOut?.();
      this.#sendNext(channel);
    });
    this.#timers.set(channel, cancel);
  }

  #release(channel: string): void {
    this.#timers.get(channel)?.();
    this.#timers.delete(channel);
  }

  #succeeded(key: string, { message, seq, at }: Stored): void {
    this.#waiters.get(key)?.resolve({ message, seq, at });
    this.#waiters.delete(key);
  }

  #failed(key: string, reason: string, detail: string): void {
    this.#waiters.get(key)?.reject(new Problem(0, reason, detail));
    this.#waiters.delete(key);
  }

  #remember(item: OutboxItem): void {
    const at = this.#options.clock.now();
    this.#recent = [...this.#recent.filter((recent) => recent.at >= at - recentMs), { item, at }].slice(-recentMax);
  }

  #find(key: string): OutboxItem | undefined {
    return this.#items.find((item) => item.key === key);
  }

  #set(changed: OutboxItem): void {
    this.#replace(this.#items.map((item) => (item.key === changed.key ? changed : item)));
  }

  #drop(key: string): void {
    this.#options.storage.remove(key);
    this.#replace(this.#items.filter((item) => item.key !== key));
  }

  #replace(items: readonly OutboxItem[]): void {
    this.#items = items;
    this.#options.changed(items);
  }
}

function waiting(item: OutboxItem): OutboxItem {
  return { ...item, state: { name: "waiting" } };
}

function toFrame(item: OutboxItem): SendFrame {
  return {
    type: "send",
    ref: item.key,
    channel: item.channel,
    key: item.key,
    ...(item.sealed === undefined ? { text: item.text } : { sealed: item.sealed }),
    ...(item.thread === undefined ? {} : { thread: item.thread }),
    ...(item.attachments === undefined ? {} : { attachments: item.attachments.map((a) => a.id) }),
    ...(item.mentions === undefined ? {} : { mentions: item.mentions }),
  };
}

/** Null for what is no item, such as one cut off by a full disk. */
function parsed(text: string): OutboxItem | null {
  try {
    const found = JSON.parse(text) as Partial<OutboxItem> | null;
    const whole = typeof found?.key === "string" && typeof found.channel === "string" && typeof found.text === "string" && typeof found.state?.name === "string";
    return whole ? (found as OutboxItem) : null;
  } catch {
    return null;
  }
}

/** Keeps nothing beyond the life of the process. */
export function memoryOutbox(): OutboxStorage {
  return { load: () => [], put: () => undefined, remove: () => undefined };
}

/** Stores each item under its own name, so that tabs do not overwrite each other's. `prefix` must contain tenant and user. */
export function localOutbox(prefix: string, local: Storage): OutboxStorage {
  const ignoringErrors = (run: () => void) => {
    try {
      run();
    } catch {
      // With a full or forbidden storage an item does not survive a reload; it is still sent.
    }
  };
  return {
    load: () => {
      const items: OutboxItem[] = [];
      ignoringErrors(() => {
        for (let index = 0; index < local.length; index++) {
          const name = local.key(index);
          const text = name?.startsWith(prefix) === true ? local.getItem(name) : null;
          const item = text === null ? null : parsed(text);
          if (item !== null) items.push(item);
        }
      });
      return items;
    },
    put: (item) => ignoringErrors(() => local.setItem(prefix + item.key, JSON.stringify(item))),
    remove: (key) => ignoringErrors(() => local.removeItem(prefix + key)),
  };
}
