/** Owns trying something and putting a refusal into words that is no command; those are `useCommand`'s. */
import { useCallback, useState } from "react";

import { Problem } from "../client";
import { refusal } from "./wording";

/** `busy` while something is tried, `failure` the words of the last refusal; null when all is well. */
export function useAttempt() {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const attempt = useCallback(async (action: () => Promise<unknown>) => {
    setBusy(true);
    setFailure(null);
    try {
      await action();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setFailure(refusal(error.reason, error.detail));
    } finally {
      setBusy(false);
    }
  }, []);
  return { busy, failure, attempt };
}
