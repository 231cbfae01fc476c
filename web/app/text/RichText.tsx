/** Renders message text. It is never interpreted as HTML; only http and https addresses become links. */
import type { ReactNode } from "react";

const address = /\bhttps?:\/\/[^\s<>"']+/giu;
const trailing = /[.,;:!?)\]}'"]+$/u;

export function RichText({ text }: { text: string }) {
  const parts: ReactNode[] = [];
  let from = 0;
  for (const match of text.matchAll(address)) {
    const href = match[0].replace(trailing, "");
    if (!URL.canParse(href)) continue;
    parts.push(text.slice(from, match.index));
    parts.push(
      <a key={match.index} href={href} target="_blank" rel="noopener noreferrer nofollow">
        {href}
      </a>,
    );
    from = match.index + href.length;
  }
  parts.push(text.slice(from));
  return <>{parts}</>;
}

/** Whether the text is one to three emoji and nothing else, which are shown large. */
export function isJumbo(text: string): boolean {
  const graphemes = [...new Intl.Segmenter().segment(text)].map((part) => part.segment.trim()).filter(Boolean);
  return graphemes.length > 0 && graphemes.length <= 3 && graphemes.every((g) => /\p{Extended_Pictographic}/u.test(g));
}
