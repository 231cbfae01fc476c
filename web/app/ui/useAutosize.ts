/** Grows a text field with its text, up to the height that its style allows. */
import { useLayoutEffect } from "react";
import type { RefObject } from "react";

export function useAutosize(field: RefObject<HTMLTextAreaElement | null>, text: string): void {
  useLayoutEffect(() => {
    const element = field.current;
    if (element === null) return;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight}px`;
  }, [field, text]);
}
