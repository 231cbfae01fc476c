/** A pane beside the conversation; on narrow screens it covers the conversation. */
import { useEffect, useRef, useState } from "react";
import type { ReactNode } from "react";

import { CloseIcon } from "./icons";

interface Props {
  title: string;
  note?: ReactNode;
  testid: string;
  onClose: () => void;
  children: ReactNode;
}

/** Takes the focus when it opens, unless something in it has it, and returns it when it closes. Escape closes it. */
export function Panel({ title, note, testid, onClose, children }: Props) {
  const box = useRef<HTMLElement>(null);
  const close = useRef<HTMLButtonElement>(null);
  const [opener] = useState(() => document.activeElement);

  useEffect(() => {
    if (box.current?.contains(document.activeElement) !== true) close.current?.focus({ preventScroll: true });
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus({ preventScroll: true });
    };
  }, [opener]);

  return (
    <aside
      ref={box}
      className="panel"
      aria-label={title}
      data-testid={testid}
      onKeyDown={(event) => {
        // React also reports the keys of the panel's menus and dialogs, which are elsewhere in the document.
        if (event.key !== "Escape" || !event.currentTarget.contains(event.target as Node)) return;
        event.stopPropagation();
        onClose();
      }}
    >
      <header className="panel-head">
        <h3>{title}</h3>
        <span className="muted">{note}</span>
        <button ref={close} type="button" className="icon-button" onClick={onClose} aria-label={`Close ${title.toLowerCase()}`}>
          <CloseIcon />
        </button>
      </header>
      {children}
    </aside>
  );
}
