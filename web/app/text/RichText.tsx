/**
 * Renders message text. It is never interpreted as HTML; only http and https addresses become links.
 * A link is shown as the browser reads it, so that its text cannot name another place than it leads to.
 */
import type { ReactNode } from "react";

const address = /\bhttps?:\/\/[^\s<>"']+/giu;
const trailing = /[.,;:!?)\]}'"]+$/u;

export function RichText({ text }: { text: string }) {
  const parts: ReactNode[] = [];
  let from = 0;
  for (const match of text.matchAll(address)) {
    const written = match[0].replace(trailing, "");
    const href = hrefOf(written);
    if (href === null) continue;
    parts.push(text.slice(from, match.index));
    parts.push(
      <a key={match.index} href={href} target="_blank" rel="noopener noreferrer nofollow">
        {href}
      </a>,
    );
    from = match.index + written.length;
  }
  parts.push(text.slice(from));
  return <>{parts}</>;
}

/** The address with everything percent-encoded that could mislead; null for none, and for one that names a user before its host. */
function hrefOf(written: string): string | null {
  if (!URL.canParse(written)) return null;
  const { href, username, password } = new URL(written);
  return username === "" && password === "" ? href : null;
}

/** Whether the text is one to three emoji and nothing else, which are shown large. */
export function isJumbo(text: string): boolean {
  const graphemes = [...new Intl.Segmenter().segment(text)].map((part) => part.segment.trim()).filter(Boolean);
  return graphemes.length > 0 && graphemes.length <= 3 && graphemes.every((g) => /\p{Extended_Pictographic}/u.test(g));
}
