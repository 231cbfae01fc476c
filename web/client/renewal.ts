/**
 * Owns keeping an open socket alive beyond the credentials that it began with: gets the next before they end and carries them in.
 * Leaves what they are to `credentials`. A renewal that fails costs nothing but a reconnect: the server closes with 4001.
 */
import type { Cancel, Clock } from "./clock";
import type { Credentials, Term } from "./credentials";
import type { Proof } from "./frames";
import { Problem } from "./http";

/** Time for a person to sign in again, or for a host product to answer. */
const leadMaxMs = 5 * 60_000;
const retryMinMs = 1_000;
const retryMaxMs = 30_000;

export interface RenewalOptions {
  clock: Clock;
  credentials: Credentials;
  /** A one-time ticket, where there is no token to show. Rejects with `Problem`. */
  ticket: () => Promise<string>;
  /** Shows it on the open socket. Rejects with `Problem`. */
  show: (proof: Proof) => Promise<unknown>;
  /** When the credentials end, once they could not be renewed in time; null when all is well again. */
  ending: (at: number | null) => void;
}

/** How long from now until the next are due. Spread, so that a crowd does not ask at once. */
export function dueMs({ endsAt, lifeMs }: Term, now: number, random: number): number {
  const leadMs = Math.min(leadMaxMs, lifeMs / 5) * (1 + random);
  // Not again at once where a wrong clock says that what has just come is at its end.
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
    this.#options.ending(null);
    this.#schedule();
  }

  closed(): void {
    this.#open = false;
    this.#cancel?.();
  }

  /** Does it now. Says whether the socket goes on under new credentials. */
  async now(): Promise<boolean> {
    this.#cancel?.();
    const renewed = await this.#renewed();
    if (!this.#open) return renewed;
    if (renewed) {
      this.#options.ending(null);
      this.#schedule();
    } else this.#again();
    return renewed;
  }

  async #renewed(): Promise<boolean> {
    const { credentials, ticket, show } = this.#options;
    try {
      if (!(await credentials.renew())) return false;
      const token = credentials.token();
      await show(token === null ? { ticket: await ticket() } : { token });
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

  /** Until the end: after that the server's 4001 leads to what is left to try. */
  #again(): void {
    const { clock, credentials, ending } = this.#options;
    const term = credentials.term();
    if (term === null) return;
    ending(term.endsAt);
    if (clock.now() < term.endsAt) this.#after(Math.min(retryMaxMs, Math.max(retryMinMs, term.lifeMs / 20)));
  }

  #after(ms: number): void {
    this.#cancel?.();
    this.#cancel = this.#options.clock.after(ms, () => void this.now());
  }
}
