/** Owns the frame of what stands beside a conversation, and over it where there is little room. */
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

export function Panel({ title, note, testid, onClose, children }: Props) {
  const box = useRef<HTMLElement>(null);
  const close = useRef<HTMLButtonElement>(null);
  const [opener] = useState(() => document.activeElement);

  // Opened by a button elsewhere, so the keyboard follows, unless something in here has it already; and finds back.
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
        if (event.key !== "Escape") return;
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
