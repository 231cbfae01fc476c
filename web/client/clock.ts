/** The client's source of time and randomness; tests replace it. */

/** Cancels a timer. Calling it late or twice does nothing. */
export type Cancel = () => void;

/** A source of time and randomness. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  after(ms: number, run: () => void): Cancel;
  /** At least 0, below 1. */
  random(): number;
}

/** The platform's time and randomness. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => {
      clearTimeout(timer);
    };
  },
  random: () => Math.random(),
};
