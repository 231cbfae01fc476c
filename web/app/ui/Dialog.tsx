/** A modal dialog. Ariakit provides the focus trap, Escape, and an inert page behind it. */
import { Dialog as Modal } from "@ariakit/react";
import type { ReactNode } from "react";

import { unmarked } from "../text/isolation";
import { Sentence } from "../text/Sentence";
import { CloseIcon } from "./icons";

interface Props {
  /** May contain marked names (`isolated`). */
  title: string;
  onClose: () => void;
  children: ReactNode;
  /** Without a visible header: the title is only read out. */
  bare?: boolean;
  /** As wide as its content. */
  wide?: boolean;
}

/** Focuses the element with `data-autofocus`, otherwise the first control. Closing returns the focus to where it was. */
export function Dialog({ title, onClose, children, bare = false, wide = false }: Props) {
  return (
    <Modal open onClose={onClose} backdrop={<div className="veil" />} className={`dialog ${bare ? "dialog-bare" : ""} ${wide ? "dialog-wide" : ""}`} aria-label={unmarked(title)}>
      {!bare && (
        <header className="dialog-head">
          <h2>
            <Sentence text={title} />
          </h2>
          <button type="button" className="icon-button" onClick={onClose} aria-label="Close">
            <CloseIcon />
          </button>
        </header>
      )}
      {children}
    </Modal>
  );
}
