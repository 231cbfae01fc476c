/** Loads something over HTTP when a component appears, and again when what it asks for changes. */
import { useEffect, useState } from "react";

import { Problem } from "../../client";

/**
 * `load` must keep its identity while it asks for the same (`useCallback`); null asks for nothing. Waits `pauseMs` first, so that
 * quick changes cause one request. `answer` is the last one, also while the next is under way; null before the first.
 */
export function useRequest<T>(load: (() => Promise<T>) | null, pauseMs = 0): { answer: T | null; problem: Problem | null } {
  const [answer, setAnswer] = useState<T | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    if (load === null) return;
    let current = true;
    const timer = setTimeout(() => {
      load().then(
        (value) => {
          if (!current) return;
          setAnswer(() => value);
          setProblem(null);
        },
        (error: unknown) => {
          if (!(error instanceof Problem)) throw error;
          if (current) setProblem(error);
        },
      );
    }, pauseMs);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [load, pauseMs]);
  return { answer, problem };
}
