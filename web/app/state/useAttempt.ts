/** Runs an action that the server may refuse, and puts the refusal into words. */
import { useCallback, useState } from "react";

import { Problem } from "../../client";
import { refusal } from "../text/wording";

/** `busy` while an action runs. `failure` is the text of the last refusal, in `words`; null after a success. */
export function useAttempt(words: (problem: Problem) => string = refusal) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  /** Returns whether the action succeeded. It may reject only with `Problem`. */
  const attempt = useCallback(async (action: () => Promise<unknown>): Promise<boolean> => {
    setBusy(true);
    setFailure(null);
    try {
      await action();
      return true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setFailure(words(error));
      return false;
    } finally {
      setBusy(false);
    }
  }, [words]);
  return { busy, failure, attempt };
}
