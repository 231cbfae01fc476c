/** The answer to a slash command that only the caller sees. It is stored nowhere. */
import { CloseIcon } from "../ui/icons";
import type { Note } from "./useSlash";

export function CommandNote({ note, onDismiss }: { note: Note | null; onDismiss: () => void }) {
  return (
    <div role="status">
      {note !== null && (
        <div className="command-note" data-testid="command-note">
          <p>
            <b>/{note.command}</b> {note.text === "" ? "The command was sent. Its answer may come later." : <bdi>{note.text}</bdi>} <span className="muted">Only you can see this.</span>
          </p>
          <button type="button" className="icon-button" aria-label="Dismiss" title="Dismiss" data-testid="command-note-dismiss" onClick={onDismiss}>
            <CloseIcon />
          </button>
        </div>
      )}
    </div>
  );
}
