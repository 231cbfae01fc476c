/** Open reports, loaded at once and again on request. */
import { useCallback, useEffect, useState } from "react";

import { Problem } from "../../client";
import type { Page } from "../../client";
import type { Report } from "../../client/moderation";
import { refusal } from "../text/wording";

export interface Reports<R extends Report = Report> {
  /** Oldest first; null before the first answer. */
  items: readonly R[] | null;
  failure: string | null;
  /** Loads the next page; null where there is none. */
  more: (() => void) | null;
  reload: () => void;
  /** Removes a report that was resolved. */
  remove: (id: string) => void;
}

/** `fetch` keeps its identity while it asks for the same; null loads nothing. */
export function useReports<R extends Report>(fetch: ((cursor?: string) => Promise<Page<R>>) | null): Reports<R> {
  const [items, setItems] = useState<readonly R[] | null>(null);
  const [next, setNext] = useState<string | undefined>(undefined);
  const [failure, setFailure] = useState<string | null>(null);

  const load = useCallback(
    (cursor?: string) => {
      fetch?.(cursor).then(
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
    [fetch],
  );

  useEffect(() => {
    load();
  }, [load]);

  const remove = useCallback((id: string) => setItems((known) => known?.filter((report) => report.id !== id) ?? null), []);
  return { items, failure, more: next === undefined ? null : () => load(next), reload: load, remove };
}
