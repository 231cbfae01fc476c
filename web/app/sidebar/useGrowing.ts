/** Renders a long list in steps: the next one when the rendered end comes near the visible part. */
import { useEffect, useRef, useState } from "react";
import type { RefObject } from "react";

const step = 60;
/** Grows this far ahead of the visible part. */
const ahead = "600px";

/**
 * The number of items to render, and a ref for an element behind the last of them. `atLeast` items are rendered in any case.
 * `more` loads further items when the end of all comes near.
 */
export function useGrowing(length: number, atLeast: number, more: (() => void) | null = null): { count: number; end: RefObject<HTMLDivElement | null> } {
  const [grown, setGrown] = useState(step);
  const end = useRef<HTMLDivElement>(null);
  const count = Math.min(length, Math.max(grown, atLeast));
  useEffect(() => {
    if (end.current === null || (count >= length && more === null)) return;
    const observer = new IntersectionObserver(([entry]) => {
      if (entry?.isIntersecting !== true) return;
      setGrown(count + step);
      if (count >= length) more?.();
    }, { root: end.current.parentElement, rootMargin: ahead });
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [count, length, more]);
  return { count, end };
}
