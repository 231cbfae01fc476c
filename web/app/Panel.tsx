/** Owns the frame of what stands beside a conversation, and over it where there is little room. */
import { useEffect, useRef } from "react";
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
  const close = useRef<HTMLButtonElement>(null);

  // Opened by a button elsewhere, so the keyboard follows, and finds back.
  useEffect(() => {
    const opener = document.activeElement;
    close.current?.focus({ preventScroll: true });
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus({ preventScroll: true });
    };
  }, []);

  return (
    <aside
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
