/**
 * Owns the messages that were written but are not known to be stored: keeps them across reloads, sends them in order per
 * channel, repeats them under the same key until the server answers. Leaves the socket to `connection`.
 *
 * Guarantee: an item leaves the outbox only when the server has the message, or when its author discards it. Sending one
 * twice (after a reconnect, from two tabs) is harmless: the server makes one message per key.
 */
import type { Cancel, Clock } from "./clock";
import type { Ack, Attachment, ErrorFrame, SendFrame } from "./frames";

export interface Draft {
  channel: string;
  text: string;
  thread?: string;
  attachments?: readonly Attachment[];
  mentions?: readonly string[];
}

export type ItemState =
  /** For its turn, a connection, or what the server asked to wait for: then `reason` says it. */
  | { name: "waiting"; reason?: string }
  | { name: "sending" }
  /** Stored under this number; shown until the event itself arrives. */
  | { name: "stored"; seq: number }
  /** The server refused it for good. `retry` or `discard` are up to the author. */
  | { name: "failed"; reason: string; detail: string };

export interface OutboxItem extends Draft {
  key: string;
  /** Milliseconds since the epoch, when the author sent it. */
  writtenAt: number;
  state: ItemState;
}

/** Where unsent items outlive the page. Implementations must not throw; losing an item only costs its survival of a reload. */
export interface OutboxStorage {
  load(): readonly OutboxItem[];
  put(item: OutboxItem): void;
  remove(key: string): void;
}

export interface OutboxOptions {
  storage: OutboxStorage;
  clock: Clock;
  newKey: () => string;
  /** Sends a frame if the connection is open and its flow has begun; says whether it did. */
  send: (frame: SendFrame) => boolean;
  changed: (items: readonly OutboxItem[]) => void;
}

/** Reasons for which the same frame may succeed later. */
const passing = new Set(["RATE_LIMITED", "SLOW_MODE", "UNAVAILABLE", "INTERNAL"]);
/** Without an answer for this long the item is sent again. */
const answerMs = 10_000;
const defaultRetryMs = 2_000;

export class Outbox {
  readonly #options: OutboxOptions;
  #items: readonly OutboxItem[];
  /** Channels whose head item has an answer or a pause to wait for. */
  readonly #timers = new Map<string, Cancel>();

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#items = [...options.storage.load()]
      .map((item) => (item.state.name === "failed" ? item : { ...item, state: { name: "waiting" as const } }))
      .sort((a, b) => a.writtenAt - b.writtenAt);
    options.changed(this.#items);
  }

  get items(): readonly OutboxItem[] {
    return this.#items;
  }

  add(draft: Draft): OutboxItem {
    const { clock, newKey, storage } = this.#options;
    const item: OutboxItem = { ...draft, key: newKey(), writtenAt: clock.now(), state: { name: "waiting" } };
    storage.put(item);
    this.#replace([...this.#items, item]);
    this.#pump(item.channel);
    return item;
  }

  retry(key: string): void {
    const item = this.#find(key);
    if (item?.state.name !== "failed") return;
    // A refused key may stay refused for its content, so the second try is a new message.
    this.#drop(key);
    this.add(item);
  }

  discard(key: string): void {
    const item = this.#find(key);
    if (item === undefined) return;
    this.#drop(key);
    if (item.state.name === "sending") this.#release(item.channel);
    this.#pump(item.channel);
  }

  /** The connection is open and its flow has begun. */
  opened(): void {
    for (const channel of new Set(this.#items.map((item) => item.channel))) this.#pump(channel);
  }

  /** The connection is gone: what was on its way has an unknown fate and will be sent again. */
  closed(): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#replace(this.#items.map((item) => (item.state.name === "sending" ? waiting(item) : item)));
  }

  /** Returns false when `ref` is not one of ours. */
  acked(ack: Ack): boolean {
    const item = ack.ref === undefined ? undefined : this.#find(ack.ref);
    if (item === undefined) return false;
    this.#options.storage.remove(item.key);
    this.#set({ ...item, state: { name: "stored", seq: ack.seq } });
    this.#release(item.channel);
    this.#pump(item.channel);
    return true;
  }

  /** Returns false when `ref` is not one of ours. */
  refused(error: ErrorFrame): boolean {
    const item = error.ref === undefined ? undefined : this.#find(error.ref);
    if (item === undefined) return false;
    this.#release(item.channel);
    if (passing.has(error.reason)) {
      this.#set({ ...item, state: { name: "waiting", reason: error.reason } });
      this.#pause(item.channel, error.retry_after === undefined ? defaultRetryMs : error.retry_after * 1000);
      return true;
    }
    const failed: OutboxItem = { ...item, state: { name: "failed", reason: error.reason, detail: error.detail ?? "" } };
    this.#options.storage.put(failed);
    this.#set(failed);
    this.#pump(item.channel);
    return true;
  }

  /** The message with `key` was seen in the log: whoever sent it, it is stored. */
  seen(key: string): void {
    const item = this.#find(key);
    if (item === undefined) return;
    this.#drop(key);
    if (item.state.name === "sending") this.#release(item.channel);
    this.#pump(item.channel);
  }

  /** The log is folded up to `seq`: stored items up to there are shown by it. */
  folded(channel: string, seq: number): void {
    const shown = (item: OutboxItem) => item.channel === channel && item.state.name === "stored" && item.state.seq <= seq;
    if (this.#items.some(shown)) this.#replace(this.#items.filter((item) => !shown(item)));
  }

  /** Sends the channel's first waiting item, unless one is on its way or the channel pauses. */
  #pump(channel: string): void {
    if (this.#timers.has(channel)) return;
    const next = this.#items.find((item) => item.channel === channel && item.state.name === "waiting");
    if (next === undefined || !this.#options.send(toFrame(next))) return;
    this.#set({ ...next, state: { name: "sending" } });
    this.#pauseFor(channel, answerMs, () => {
      const unanswered = this.#find(next.key);
      if (unanswered?.state.name === "sending") this.#set(waiting(unanswered));
    });
  }

  #pause(channel: string, ms: number): void {
    this.#pauseFor(channel, ms, () => undefined);
  }

  #pauseFor(channel: string, ms: number, ended: () => void): void {
    const cancel = this.#options.clock.after(ms, () => {
      this.#timers.delete(channel);
      ended();
      this.#pump(channel);
    });
    this.#timers.set(channel, cancel);
  }

  #release(channel: string): void {
    this.#timers.get(channel)?.();
    this.#timers.delete(channel);
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
    text: item.text,
    ...(item.thread === undefined ? {} : { thread: item.thread }),
    ...(item.attachments === undefined ? {} : { attachments: item.attachments.map((a) => a.id) }),
    ...(item.mentions === undefined ? {} : { mentions: item.mentions }),
  };
}

/** One entry per item, so that two tabs never overwrite each other's. `prefix` must name tenant and user. */
export function localOutbox(prefix: string, local: Storage): OutboxStorage {
  const quietly = (run: () => void) => {
    try {
      run();
    } catch {
      // A full or forbidden storage costs the survival of a reload, never the message itself.
    }
  };
  return {
    load: () => {
      const items: OutboxItem[] = [];
      quietly(() => {
        for (let index = 0; index < local.length; index++) {
          const name = local.key(index);
          const text = name?.startsWith(prefix) === true ? local.getItem(name) : null;
          if (text !== null) items.push(JSON.parse(text) as OutboxItem);
        }
      });
      return items;
    },
    put: (item) => quietly(() => local.setItem(prefix + item.key, JSON.stringify(item))),
    remove: (key) => quietly(() => local.removeItem(prefix + key)),
  };
}
