/** Owns running a command and putting a refusal into words. */
import { useCallback } from "react";

import { Problem } from "../client";
import type { Command } from "../client";
import { useClient } from "./hooks";
import { refusal } from "./wording";

/** Resolves with whether it was done; tells `onFailure` the words, or null when all is well. */
export function useCommand(onFailure: (words: string | null) => void): (command: Command) => Promise<boolean> {
  const client = useClient();
  return useCallback(
    async (command) => {
      try {
        await client.run(command);
        onFailure(null);
        return true;
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        onFailure(refusal(error.reason, error.detail));
        return false;
      }
    },
    [client, onFailure],
  );
}
