/** Owns asking before something is done to people or their words: what will happen, a reason, for how long; and saying why it was refused. */
import { useId, useState } from "react";
import type { ReactNode } from "react";

import { Dialog } from "./Dialog";
import { useAttempt } from "./useAttempt";
import { spanWords } from "./wording";

const reasonMax = 500;

export interface ActionAnswer {
  reason: string;
  /** Undefined for without an end. */
  seconds: number | undefined;
}

export interface ActionProps {
  title: string;
  children: ReactNode;
  /** What the button says. */
  action: string;
  danger?: boolean;
  /** False while `children` ask for something that is missing. */
  ready?: boolean;
  /** The reason that is asked for. */
  reason?: { label: string; needed: boolean };
  /** Seconds to choose from, the first is proposed; null is without an end. */
  spans?: readonly (number | null)[];
  /** Rejects with `Problem`. */
  run: (answer: ActionAnswer) => Promise<unknown>;
  onClose: () => void;
}

export function ActionDialog({ title, children, action, danger = false, ready: complete = true, reason, spans, run, onClose }: ActionProps) {
  const [words, setWords] = useState("");
  const [span, setSpan] = useState(0);
  const { busy, failure, attempt } = useAttempt();
  const id = useId();
  const ready = complete && (reason?.needed !== true || words.trim() !== "");

  async function submit() {
    await attempt(async () => {
      await run({ reason: words.trim(), seconds: spans?.[span] ?? undefined });
      onClose();
    });
  }

  return (
    <Dialog title={title} onClose={onClose}>
      <form
        className="form"
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) void submit();
        }}
      >
        <div className="form-note muted">{children}</div>
        {spans !== undefined && (
          <label className="field">
            <span>For how long</span>
            <select className="input" data-testid="action-span" value={span} onChange={(event) => setSpan(Number(event.target.value))}>
              {spans.map((seconds, index) => (
                <option key={seconds} value={index}>
                  {seconds === null ? "Until it is lifted" : spanWords(seconds)}
                </option>
              ))}
            </select>
          </label>
        )}
        {reason !== undefined && (
          <label className="field" htmlFor={id}>
            <span>{reason.label}</span>
            <textarea id={id} className="input" data-testid="action-reason" rows={3} maxLength={reasonMax} value={words} onChange={(event) => setWords(event.target.value)} autoFocus required={reason.needed} dir="auto" />
          </label>
        )}
        <p className="form-error" role="alert">
          {failure}
        </p>
        <footer className="dialog-foot">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button className={danger ? "button button-danger" : "button button-primary"} data-testid="action-confirm" disabled={!ready || busy} autoFocus={reason === undefined}>
            {action}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
