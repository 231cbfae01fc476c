/**
 * The scroll position of the message list. At the end the list stays at the end. Elsewhere the first visible message keeps its
 * place while messages around it are loaded, dropped or resized.
 */
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { RefObject } from "react";

/** The list counts as scrolled to its end within this distance. */
const endPx = 48;
/** More messages are loaded within this distance of an edge. */
const edgePx = 900;
/** The distance from the top at which the line above new messages is placed when the list opens. */
const linePx = 56;

interface Options {
  /** Changes whenever the rows do. */
  rows: readonly unknown[];
  /** No newer message is missing. */
  atEnd: boolean;
  onNearStart: () => void;
  onNearEnd: () => void;
  onFollow: (following: boolean) => void;
}

export interface Scroll {
  box: RefObject<HTMLDivElement | null>;
  content: RefObject<HTMLDivElement | null>;
  following: boolean;
  toEnd: () => void;
  /** Centres a row, highlights it for a moment and focuses its message. Returns false if it is not rendered. */
  toRow: (row: string) => boolean;
}

interface Anchor {
  row: string;
  top: number;
}

export function useScroll(options: Options): Scroll {
  const box = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const anchor = useRef<Anchor | null>(null);
  const follows = useRef(true);
  const placed = useRef(false);
  const [following, setFollowing] = useState(true);
  const latest = useRef(options);
  useLayoutEffect(() => {
    latest.current = options;
  });

  const update = useCallback(() => {
    const scroller = box.current;
    if (scroller === null) return;
    const toEnd = scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop;
    const { atEnd, onFollow, onNearStart, onNearEnd } = latest.current;
    anchor.current = firstVisible(scroller, content.current);
    const now = atEnd && toEnd < endPx;
    if (now !== follows.current) onFollow(now);
    follows.current = now;
    setFollowing(now);
    if (scroller.scrollTop < edgePx) onNearStart();
    if (!atEnd && toEnd < edgePx) onNearEnd();
  }, []);

  const settle = useCallback(() => {
    const scroller = box.current;
    if (scroller === null) return;
    if (follows.current) scroller.scrollTop = scroller.scrollHeight;
    else if (anchor.current !== null) {
      const row = content.current?.querySelector<HTMLElement>(`[data-row="${CSS.escape(anchor.current.row)}"]`);
      if (row) scroller.scrollTop = row.offsetTop - anchor.current.top;
    }
    update();
  }, [update]);

  useLayoutEffect(() => {
    const scroller = box.current;
    if (scroller === null || options.rows.length === 0) return;
    settle();
    if (placed.current) return;
    placed.current = true;
    const line = content.current?.querySelector<HTMLElement>('[data-row="new"]');
    if (!line || line.offsetTop - scroller.scrollTop > linePx) return;
    follows.current = false;
    scroller.scrollTop = line.offsetTop - linePx;
    update();
  }, [options.rows, settle, update]);

  useEffect(() => {
    const scroller = box.current;
    const inner = content.current;
    if (scroller === null || inner === null) return;
    const observer = new ResizeObserver(settle);
    observer.observe(scroller);
    observer.observe(inner);
    scroller.addEventListener("scroll", update, { passive: true });
    return () => {
      observer.disconnect();
      scroller.removeEventListener("scroll", update);
    };
  }, [settle, update]);

  const toEnd = useCallback(() => {
    follows.current = true;
    setFollowing(true);
    latest.current.onFollow(true);
    settle();
  }, [settle]);

  const toRow = useCallback(
    (name: string) => {
      const scroller = box.current;
      const row = content.current?.querySelector<HTMLElement>(`[data-row="${CSS.escape(name)}"]`);
      if (scroller === null || !row) return false;
      follows.current = false;
      scroller.scrollTop = row.offsetTop - (scroller.clientHeight - row.offsetHeight) / 2;
      row.dataset["found"] = "true";
      row.addEventListener("animationend", () => delete row.dataset["found"], { once: true });
      row.querySelector<HTMLElement>('[data-testid="message"]')?.focus({ preventScroll: true });
      update();
      return true;
    },
    [update],
  );

  return { box, content, following, toEnd, toRow };
}

function firstVisible(scroller: HTMLElement, content: HTMLElement | null): Anchor | null {
  const rows = content?.querySelectorAll<HTMLElement>('[data-row^="m-"]') ?? [];
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    const row = rows[middle];
    if (row !== undefined && row.offsetTop + row.offsetHeight <= scroller.scrollTop) low = middle + 1;
    else high = middle;
  }
  const row = rows[low];
  return row === undefined ? null : { row: row.dataset["row"] ?? "", top: row.offsetTop - scroller.scrollTop };
}
