/**
 * Owns where the message list is scrolled to. At the end it stays at the end; anywhere else the first message in sight stays
 * where it is, whatever is loaded, dropped or resized around it.
 */
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { RefObject } from "react";

/** Closer to the end than this counts as being there. */
const endPx = 48;
/** Closer to an edge than this asks for more. */
const edgePx = 900;
/** Where the line before the new messages is put when it lies above the screen. */
const linePx = 56;

interface Options {
  /** Changes whenever the rows do. */
  rows: readonly unknown[];
  /** Nothing newer is to be loaded. */
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
  /** Puts a row into the middle and lets it stand out for a moment; says whether it is there. */
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

  const note = useCallback(() => {
    const scroller = box.current;
    if (scroller === null) return;
    const toEnd = scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop;
    const { atEnd, onFollow, onNearStart, onNearEnd } = latest.current;
    anchor.current = firstInSight(scroller, content.current);
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
    note();
  }, [note]);

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
    note();
  }, [options.rows, settle, note]);

  useEffect(() => {
    const scroller = box.current;
    const inner = content.current;
    if (scroller === null || inner === null) return;
    const observer = new ResizeObserver(settle);
    observer.observe(scroller);
    observer.observe(inner);
    scroller.addEventListener("scroll", note, { passive: true });
    return () => {
      observer.disconnect();
      scroller.removeEventListener("scroll", note);
    };
  }, [settle, note]);

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
      note();
      return true;
    },
    [note],
  );

  return { box, content, following, toEnd, toRow };
}

function firstInSight(scroller: HTMLElement, content: HTMLElement | null): Anchor | null {
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
