/** Owns a channel's open reports, for those who may see them: read when the conversation is opened, and again on request. */
import { useCallback, useEffect, useState } from "react";

import { Problem } from "../client";
import type { Report } from "../client";
import { useClient } from "./hooks";
import { refusal } from "./wording";

export interface Reports {
  /** Oldest first; null before the first answer. */
  items: readonly Report[] | null;
  failure: string | null;
  /** Reads the next page; null where there is none. */
  more: (() => void) | null;
  reload: () => void;
  /** It was resolved. */
  drop: (id: string) => void;
}

/** Asks nothing where `allowed` is false. */
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
          setFailure(refusal(error.reason, error.detail));
        },
      );
    },
    [client, channel],
  );

  useEffect(() => {
    if (allowed) load();
  }, [allowed, load]);

  const drop = useCallback((id: string) => setItems((known) => known?.filter((report) => report.id !== id) ?? null), []);
  return { items, failure, more: next === undefined ? null : () => load(next), reload: load, drop };
}
