/**
 * Owns one connection's life: ticket, socket, hello, heartbeat, and coming back. Leaves the meaning of frames to its listener.
 *
 * The rule of close codes (`docs/protocol.md`): 4500–4999 end it, everything else reconnects with full-jitter backoff,
 * 4001 (token expired) included: the ticket for the next socket is bought with whatever is valid by then.
 */
import type { Cancel, Clock } from "./clock";
import type { ClientFrame, Hello, ServerFrame } from "./frames";
import { parseFrame } from "./frames";
import { Problem } from "./http";

/** The part of the browser's WebSocket that is used, so that tests can bring their own. */
export interface SocketLike {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
}

export type ConnectionState =
  | { name: "idle" }
  | { name: "connecting"; attempt: number }
  | { name: "open"; hello: Hello }
  /** Tries again at `retryAt` (milliseconds since the epoch). */
  | { name: "waiting"; attempt: number; retryAt: number }
  /** Over: the server said "do not reconnect", or does not know the caller any more; `code` is 401 for the latter. */
  | { name: "ended"; code: number; reason: string };

export interface ConnectionOptions {
  clock: Clock;
  /** A fresh one-time ticket. Rejects with `Problem`; 401 means that the caller is not known and cannot become so by itself. */
  ticket: () => Promise<string>;
  /** Opens a socket; called with a ticket that has just been issued. */
  socket: (ticket: string) => SocketLike;
  onState: (state: ConnectionState) => void;
  /** Every frame after `hello`, in order. `hello` itself comes with the state `open`. */
  onFrame: (frame: Exclude<ServerFrame, Hello>) => void;
}

const backoffBaseMs = 1_000;
const backoffMaxMs = 30_000;
/** From opening the socket to `hello`. */
const helloMs = 10_000;
/** From a ping to any frame. */
const pongMs = 10_000;
/** A connection that lived this long starts over with the shortest backoff. */
const stableMs = 10_000;

const closeNormal = 1000;
const unauthorized = 401;

/** Full jitter: anywhere between nothing and the exponential bound, so that a crowd does not return as one. */
export function backoffMs(attempt: number, random: number): number {
  return random * Math.min(backoffMaxMs, backoffBaseMs * 2 ** attempt);
}

export function mayReconnect(code: number): boolean {
  return code < 4500 || code > 4999;
}

export class Connection {
  readonly #options: ConnectionOptions;
  #state: ConnectionState = { name: "idle" };
  #socket: SocketLike | null = null;
  #attempt = 0;
  /** Grows whenever what was under way no longer counts; asynchronous steps compare it. */
  #epoch = 0;
  readonly #timers = new Set<Cancel>();
  #lastHeard = 0;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  start(): void {
    if (this.#state.name !== "idle" && this.#state.name !== "ended") return;
    this.#attempt = 0;
    void this.#connect();
  }

  stop(): void {
    this.#abandon();
    this.#enter({ name: "idle" });
  }

  /** Ends it as if the server had. */
  end(code: number, reason: string): void {
    this.#abandon();
    this.#enter({ name: "ended", code, reason });
  }

  /** The network came back or the user asks: a wait ends now. */
  hurry(): void {
    if (this.#state.name !== "waiting") return;
    this.#attempt = 0;
    void this.#connect();
  }

  /** Says whether the frame was handed to an open socket; it may still never arrive. */
  send(frame: ClientFrame): boolean {
    if (this.#state.name !== "open" || this.#socket === null) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  async #connect(): Promise<void> {
    this.#abandon();
    const epoch = this.#epoch;
    this.#enter({ name: "connecting", attempt: this.#attempt });
    try {
      const ticket = await this.#options.ticket();
      if (epoch === this.#epoch) this.#open(ticket);
    } catch (error) {
      if (epoch !== this.#epoch) return;
      if (!(error instanceof Problem)) throw error;
      if (error.status === unauthorized) this.end(unauthorized, error.reason);
      else this.#wait(error.retryAfterMs ?? 0);
    }
  }

  #open(ticket: string): void {
    const socket = this.#options.socket(ticket);
    this.#socket = socket;
    this.#later(helloMs, () => this.#lost(0, "no hello"));
    socket.onmessage = (event) => {
      this.#lastHeard = this.#options.clock.now();
      const frame = typeof event.data === "string" ? parseFrame(event.data) : null;
      if (frame !== null) this.#frame(frame);
    };
    socket.onclose = (event) => this.#lost(event.code, event.reason);
  }

  #frame(frame: ServerFrame): void {
    if (frame.type === "hello") {
      this.#cancelTimers();
      this.#later(stableMs, () => (this.#attempt = 0));
      this.#enter({ name: "open", hello: frame });
      this.#beat(frame.heartbeat_seconds * 1000);
      return;
    }
    // The server leaves: stay until the moment it names, then come back without the penalty of a failure.
    if (frame.type === "reconnect") this.#later(frame.after_ms, () => void this.#connect());
    this.#options.onFrame(frame);
  }

  /** Pings well within the heartbeat, and takes a server that does not answer for gone: half-open sockets never close by themselves. */
  #beat(heartbeatMs: number): void {
    this.#later(heartbeatMs * 0.8, () => {
      const asked = this.#options.clock.now();
      this.send({ type: "ping" });
      this.#later(pongMs, () => {
        if (this.#lastHeard < asked) this.#lost(0, "no heartbeat");
      });
      this.#beat(heartbeatMs);
    });
  }

  #lost(code: number, reason: string): void {
    if (!mayReconnect(code)) return this.end(code, reason);
    this.#abandon();
    this.#wait(0);
  }

  #wait(atLeastMs: number): void {
    const { clock } = this.#options;
    const delay = atLeastMs + backoffMs(this.#attempt, clock.random());
    this.#attempt += 1;
    this.#enter({ name: "waiting", attempt: this.#attempt, retryAt: clock.now() + delay });
    this.#later(delay, () => void this.#connect());
  }

  /** Forgets socket and timers; nothing of them is heard again. */
  #abandon(): void {
    this.#epoch += 1;
    this.#cancelTimers();
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close(closeNormal);
  }

  #later(ms: number, run: () => void): void {
    const cancel = this.#options.clock.after(ms, () => {
      this.#timers.delete(cancel);
      run();
    });
    this.#timers.add(cancel);
  }

  #cancelTimers(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }

  #enter(state: ConnectionState): void {
    this.#state = state;
    this.#options.onState(state);
  }
}
