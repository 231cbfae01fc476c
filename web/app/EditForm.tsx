/** Owns changing a message's text in place: Enter saves, Escape leaves it. */
import { useLayoutEffect, useRef, useState } from "react";
import type { KeyboardEvent } from "react";

import type { Message } from "../client";
import { useAutosize } from "./useAutosize";
import { useCommand } from "./useCommand";

export function EditForm({ message, onDone }: { message: Message; onDone: () => void }) {
  const [text, setText] = useState(message.text ?? "");
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const run = useCommand(setFailure);
  useAutosize(field, text);

  useLayoutEffect(() => {
    const element = field.current;
    element?.focus();
    element?.setSelectionRange(element.value.length, element.value.length);
  }, []);

  function leave() {
    onDone();
    document.querySelector<HTMLElement>('[data-testid="composer"]')?.focus();
  }

  async function save() {
    const changed = text.trim();
    if (changed === "" || changed === message.text) return leave();
    setBusy(true);
    const done = await run({ type: "edit", channel: message.channel, message: message.id, text: changed });
    setBusy(false);
    if (done) leave();
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.key === "Escape") {
      event.stopPropagation();
      leave();
    } else if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      void save();
    }
  }

  return (
    <div className="edit-form">
      <textarea ref={field} className="input" data-testid="edit-text" aria-label="Edit message" rows={1} value={text} disabled={busy} onChange={(event) => setText(event.target.value)} onKeyDown={onKeyDown} />
      <div className="edit-foot">
        <button type="button" className="link-button" onClick={leave}>
          Cancel
        </button>
        <button type="button" className="link-button" data-testid="edit-save" onClick={() => void save()} disabled={busy}>
          Save
        </button>
        {failure !== null && <span className="message-failure" role="alert">{failure}</span>}
      </div>
    </div>
  );
}
