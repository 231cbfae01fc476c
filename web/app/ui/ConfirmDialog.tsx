/** Asks for confirmation, and where needed for a reason and a duration. Shows why the action was refused. */
import { useState } from "react";
import type { ReactNode } from "react";

import { useAttempt } from "../state/useAttempt";
import { Dialog } from "./Dialog";
import { Failure } from "./Failure";
import { spanWords } from "../text/wording";

const reasonMax = 500;

export interface Confirmation {
  reason: string;
  /** Undefined for no end. */
  seconds: number | undefined;
}

export interface ConfirmDialogProps {
  title: string;
  children: ReactNode;
  /** The label of the button that confirms. */
  action: string;
  danger?: boolean;
  /** False while a required input among `children` is missing. */
  ready?: boolean;
  /** The label of the required reason; absent where none is asked for. */
  reason?: string;
  /** The durations to choose from, in seconds; null means no end. The first is preselected. */
  spans?: readonly (number | null)[];
  /** Rejects with `Problem`. */
  run: (confirmation: Confirmation) => Promise<unknown>;
  onClose: () => void;
}

export function ConfirmDialog({ title, children, action, danger = false, ready = true, reason: reasonLabel, spans, run, onClose }: ConfirmDialogProps) {
  const [text, setText] = useState("");
  const [span, setSpan] = useState(0);
  const { busy, failure, attempt } = useAttempt();
  const reason = text.trim();
  const complete = ready && (reasonLabel === undefined || reason !== "");

  async function submit() {
    if (await attempt(() => run({ reason, seconds: spans?.[span] ?? undefined }))) onClose();
  }

  return (
    <Dialog title={title} onClose={onClose}>
      <form
        className="form"
        onSubmit={(event) => {
          event.preventDefault();
          if (complete) void submit();
        }}
      >
        <div className="form-note muted">{children}</div>
        {spans !== undefined && (
          <label className="field">
            <span>Duration</span>
            <select className="input" data-testid="action-span" value={span} onChange={(event) => setSpan(Number(event.target.value))}>
              {spans.map((seconds, index) => (
                <option key={seconds} value={index}>
                  {seconds === null ? "Until lifted" : spanWords(seconds)}
                </option>
              ))}
            </select>
          </label>
        )}
        {reasonLabel !== undefined && (
          <label className="field">
            <span>{reasonLabel}</span>
            <textarea className="input" data-testid="action-reason" data-autofocus rows={3} maxLength={reasonMax} value={text} onChange={(event) => setText(event.target.value)} required dir="auto" />
          </label>
        )}
        <Failure text={failure} />
        <footer className="dialog-foot">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button className={danger ? "button button-danger" : "button button-primary"} data-testid="action-confirm" disabled={!complete || busy} data-autofocus={reasonLabel === undefined && ready}>
            {action}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
