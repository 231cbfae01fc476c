/** A clock that moves only when a test advances it. */
import type { Cancel, Clock } from "../client/clock";

interface Timer {
  at: number;
  order: number;
  run: () => void;
}

export class FakeClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  #order = 0;
  #timers: Timer[] = [];
  /** The value that `random` returns. */
  chance = 0.5;

  now(): number {
    return this.#now;
  }

  random(): number {
    return this.chance;
  }

  after(ms: number, run: () => void): Cancel {
    const timer = { at: this.#now + ms, order: (this.#order += 1), run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((t) => t !== timer);
    };
  }

  /** Runs the timers due within the next `ms`, in order. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const [next] = this.#timers.filter((t) => t.at <= until).sort((a, b) => a.at - b.at || a.order - b.order);
      if (next === undefined) break;
      this.#now = Math.max(this.#now, next.at);
      this.#timers = this.#timers.filter((t) => t !== next);
      next.run();
    }
    this.#now = until;
  }

  /** Milliseconds until the next timer; null when there is none. */
  get nextIn(): number | null {
    return this.#timers.length === 0 ? null : Math.min(...this.#timers.map((t) => t.at)) - this.#now;
  }
}

/** Resolves once every promise that can settle has settled. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
