/** The files that will be sent with the next message. */
import { lineOf } from "../text/isolation";
import { fileSize } from "../text/wording";
import { AlertIcon, CloseIcon, PaperclipIcon } from "../ui/icons";
import type { Upload } from "./useUploads";

export function ComposerFiles({ uploads, onRemove }: { uploads: readonly Upload[]; onRemove: (key: number) => void }) {
  if (uploads.length === 0) return null;
  return (
    <ul className="composer-files" aria-label="Files to send">
      {uploads.map(({ key, name, size, state }) => (
        <li key={key} className="attachment" data-testid="upload" data-state={state.name} title={state.name === "failed" ? state.words : lineOf(name)}>
          {state.name === "failed" ? <AlertIcon /> : <PaperclipIcon />}
          <bdi className="attachment-name">{lineOf(name)}</bdi>
          <span className="muted">{state.name === "uploading" ? "Uploading…" : state.name === "failed" ? state.words : fileSize(size)}</span>
          <button type="button" className="icon-button small" aria-label={`Remove ${lineOf(name)}`} onClick={() => onRemove(key)}>
            <CloseIcon />
          </button>
        </li>
      ))}
    </ul>
  );
}
