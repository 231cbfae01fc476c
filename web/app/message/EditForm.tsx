/** Edits a message in place: Enter saves, Escape cancels. */
import { useLayoutEffect, useRef, useState } from "react";
import type { KeyboardEvent } from "react";

import type { Message } from "../../client";
import { useAutosize } from "../ui/useAutosize";
import { useAttempt } from "../state/useAttempt";
import { useClient } from "../state/client";

export function EditForm({ message, onDone }: { message: Message; onDone: () => void }) {
  const [text, setText] = useState(message.text ?? "");
  const field = useRef<HTMLTextAreaElement>(null);
  const client = useClient();
  const { busy, failure, attempt } = useAttempt();
  useAutosize(field, text);

  useLayoutEffect(() => {
    const element = field.current;
    element?.focus();
    element?.setSelectionRange(element.value.length, element.value.length);
  }, []);

  function close() {
    onDone();
    document.querySelector<HTMLElement>('[data-testid="composer"]')?.focus();
  }

  async function save() {
    const changed = text.trim();
    if (changed === "" || changed === message.text) return close();
    if (await attempt(() => client.run({ type: "edit", channel: message.channel, message: message.id, text: changed }))) close();
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
    } else if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      void save();
    }
  }

  return (
    <div className="edit-form">
      <textarea ref={field} className="input" data-testid="edit-text" aria-label="Edit message" rows={1} value={text} disabled={busy} onChange={(event) => setText(event.target.value)} onKeyDown={onKeyDown} />
      <div className="edit-foot">
        <button type="button" className="link-button" onClick={close}>
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
