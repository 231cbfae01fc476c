/**
 * Keeps an open socket alive beyond the expiry of its credentials: renews them ahead of time and presents them on the socket.
 * A failed renewal only costs a reconnect: the server closes the socket with 4001.
 */
import type { Cancel, Clock } from "./clock";
import type { Credentials, Term } from "./credentials";
import type { Proof } from "./frames";
import { Problem } from "./http";

/** Long enough for a user to sign in again, or for a host product to answer. */
const leadMaxMs = 5 * 60_000;
const retryMinMs = 1_000;
const retryMaxMs = 30_000;

export interface RenewalOptions {
  clock: Clock;
  credentials: Credentials;
  /** A one-time ticket, presented where there is no token. Rejects with `Problem`. */
  ticket: () => Promise<string>;
  /** Presents credentials on the open socket. Rejects with `Problem`. */
  present: (proof: Proof) => Promise<unknown>;
  /** Called with the expiry when a renewal failed, and with null once one succeeded. */
  expiring: (at: number | null) => void;
}

/** Milliseconds until the next renewal, with jitter so that clients do not renew in step. */
export function dueMs({ endsAt, lifeMs }: Term, now: number, random: number): number {
  const leadMs = Math.min(leadMaxMs, lifeMs / 5) * (1 + random);
  // The floor keeps a wrong clock from causing a loop of renewals.
  return Math.max(endsAt - now - leadMs, lifeMs / 5);
}

export class Renewal {
  readonly #options: RenewalOptions;
  #cancel: Cancel | null = null;
  #open = false;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  opened(): void {
    this.#open = true;
    this.#options.expiring(null);
    this.#schedule();
  }

  closed(): void {
    this.#open = false;
    this.#cancel?.();
  }

  /** Renews now. Returns whether the socket continues with new credentials. */
  async now(): Promise<boolean> {
    this.#cancel?.();
    const renewed = await this.#renew();
    if (!this.#open) return renewed;
    if (renewed) {
      this.#options.expiring(null);
      this.#schedule();
    } else this.#retry();
    return renewed;
  }

  async #renew(): Promise<boolean> {
    const { credentials, ticket, present } = this.#options;
    try {
      if (!(await credentials.renew())) return false;
      const token = credentials.token();
      await present(token === null ? { ticket: await ticket() } : { token });
      return true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return false;
    }
  }

  #schedule(): void {
    const { clock, credentials } = this.#options;
    const term = credentials.term();
    if (term !== null) this.#after(dueMs(term, clock.now(), clock.random()));
  }

  /** Retries until the expiry. After that the server closes with 4001, and `connection` reconnects. */
  #retry(): void {
    const { clock, credentials, expiring } = this.#options;
    const term = credentials.term();
    if (term === null) return;
    expiring(term.endsAt);
    if (clock.now() < term.endsAt) this.#after(Math.min(retryMaxMs, Math.max(retryMinMs, term.lifeMs / 20)));
  }

  #after(ms: number): void {
    this.#cancel?.();
    this.#cancel = this.#options.clock.after(ms, () => void this.now());
  }
}
