/** A channel's open reports, for those who may see them: loaded when the conversation opens, and again on request. */
import { useCallback, useEffect, useState } from "react";

import { Problem } from "../../client";
import type { Report } from "../../client";
import { useClient } from "../state/client";
import { refusal } from "../text/wording";

export interface Reports {
  /** Oldest first; null before the first answer. */
  items: readonly Report[] | null;
  failure: string | null;
  /** Loads the next page; null where there is none. */
  more: (() => void) | null;
  reload: () => void;
  /** Removes a report that was resolved. */
  remove: (id: string) => void;
}

/** Loads nothing unless `allowed`. */
export function useReports(channel: string, allowed: boolean): Reports {
  const client = useClient();
  const [items, setItems] = useState<readonly Report[] | null>(null);
  const [next, setNext] = useState<string | undefined>(undefined);
  const [failure, setFailure] = useState<string | null>(null);

  const load = useCallback(
    (cursor?: string) => {
      client.api.reports(channel, cursor).then(
        (page) => {
          setItems((known) => (cursor === undefined ? page.items : [...(known ?? []), ...page.items]));
          setNext(page.next);
          setFailure(null);
        },
        (error: unknown) => {
          if (!(error instanceof Problem)) throw error;
          setFailure(refusal(error));
        },
      );
    },
    [client, channel],
  );

  useEffect(() => {
    if (allowed) load();
  }, [allowed, load]);

  const remove = useCallback((id: string) => setItems((known) => known?.filter((report) => report.id !== id) ?? null), []);
  return { items, failure, more: next === undefined ? null : () => load(next), reload: load, remove };
}
