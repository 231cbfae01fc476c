/**
 * The connection to the gateway: ticket, socket, `hello`, heartbeat, reconnects. Passes every other frame on.
 *
 * Close codes 4500–4999 end the connection (`docs/protocol.md`). Every other code leads to a reconnect with full-jitter backoff,
 * also 4001 (token expired): the next ticket is requested with renewed credentials.
 */
import type { Cancel, Clock } from "./clock";
import type { ClientFrame, Hello, ServerFrame } from "./frames";
import { parseFrame } from "./frames";
import { Problem } from "./http";

/** The part of the browser's `WebSocket` that is used here. */
export interface SocketLike {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror?: unknown;
}

/** Where the connection stands. */
export type ConnectionState =
  /** Not started, or stopped. */
  | { name: "idle" }
  /** `attempt` counts from 0 since the last stable connection. */
  | { name: "connecting"; attempt: number }
  | { name: "open"; hello: Hello }
  /** Reconnects at `retryAt` (milliseconds since the epoch). */
  | { name: "waiting"; attempt: number; retryAt: number }
  /** Ended for good: the server forbade reconnecting, or no longer accepts the credentials (then `code` is 401). */
  | { name: "ended"; code: number; reason: string };

export interface ConnectionOptions {
  clock: Clock;
  /** Returns a new one-time ticket. Rejects with `Problem`; 401 means that the credentials expired and could not be renewed. */
  ticket: () => Promise<string>;
  /** Opens a socket with a new ticket. */
  socket: (ticket: string) => SocketLike;
  onState: (state: ConnectionState) => void;
  /** Receives every frame after `hello`, in order. `hello` is part of the state `open`. */
  onFrame: (frame: Exclude<ServerFrame, Hello>) => void;
}

const backoffBaseMs = 1_000;
const backoffMaxMs = 30_000;
/** From opening the socket to `hello`. */
const helloMs = 10_000;
/** From a ping to any frame. */
const pongMs = 10_000;
/** After a connection of this length the backoff starts over. */
const stableMs = 10_000;
/** The shortest wait after the server closed because the client sent too much. */
const floodedMs = 5_000;

const closeNormal = 1000;
const flooding = 4004;
const unauthorized = 401;

/** Full jitter: a random share of the exponential bound, so that clients do not reconnect in step. */
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
  /** Incremented when a connection attempt is abandoned; asynchronous steps of the old attempt then stop. */
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

  /** Ends the connection as if the server had closed it for good. */
  end(code: number, reason: string): void {
    this.#abandon();
    this.#enter({ name: "ended", code, reason });
  }

  /** Ends the current backoff, when the network is back or the user asks for it. */
  reconnectNow(): void {
    if (this.#state.name !== "waiting") return;
    this.#attempt = 0;
    void this.#connect();
  }

  /**
   * Returns whether the frame was passed to an open socket; it may still be lost. The server closes a socket that sends a frame
   * above its limit, so such a frame is refused here, with the answer that the server gives to slightly smaller ones.
   */
  send(frame: ClientFrame): boolean {
    if (this.#state.name !== "open" || this.#socket === null) return false;
    const text = JSON.stringify(frame);
    if (new TextEncoder().encode(text).length <= this.#state.hello.limits.frame_bytes) this.#socket.send(text);
    else queueMicrotask(() => this.#options.onFrame({ type: "error", reason: "TOO_LARGE", ..."ref" in frame && { ref: frame.ref } }));
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
    this.#later(helloMs, () => this.#closed(0, "no hello"));
    socket.onmessage = (event) => {
      this.#lastHeard = this.#options.clock.now();
      const frame = typeof event.data === "string" ? parseFrame(event.data) : null;
      if (frame !== null) this.#frame(frame);
    };
    socket.onclose = (event) => this.#closed(event.code, event.reason);
  }

  #frame(frame: ServerFrame): void {
    if (frame.type === "hello") {
      this.#cancelTimers();
      this.#later(stableMs, () => (this.#attempt = 0));
      this.#enter({ name: "open", hello: frame });
      this.#heartbeat(frame.heartbeat_seconds * 1000);
      return;
    }
    // The server is shutting down: reconnect at the time it names, without backoff.
    if (frame.type === "reconnect") this.#later(frame.after_ms, () => void this.#connect());
    this.#options.onFrame(frame);
  }

  /** Pings within the heartbeat interval and closes a socket that does not answer: half-open sockets never close by themselves. */
  #heartbeat(heartbeatMs: number): void {
    this.#later(heartbeatMs * 0.8, () => {
      const pingedAt = this.#options.clock.now();
      this.send({ type: "ping" });
      this.#later(pongMs, () => {
        if (this.#lastHeard < pingedAt) this.#closed(0, "no heartbeat");
      });
      this.#heartbeat(heartbeatMs);
    });
  }

  #closed(code: number, reason: string): void {
    if (!mayReconnect(code)) return this.end(code, reason);
    this.#abandon();
    this.#wait(code === flooding ? floodedMs : 0);
  }

  #wait(atLeastMs: number): void {
    const { clock } = this.#options;
    const delay = atLeastMs + backoffMs(this.#attempt, clock.random());
    this.#attempt += 1;
    this.#enter({ name: "waiting", attempt: this.#attempt, retryAt: clock.now() + delay });
    this.#later(delay, () => void this.#connect());
  }

  /** Closes the socket and cancels the timers; no further callback of either runs. */
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
