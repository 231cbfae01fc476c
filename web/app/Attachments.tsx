/** Owns attachments below a message: pictures in a box of their final size, other files as a line to save. Media is only reached through `/v1/media`. */
import { useRef, useState } from "react";

import { Problem } from "../client";
import type { Attachment } from "../client";
import { Dialog } from "./Dialog";
import { useClient } from "./hooks";
import { PaperclipIcon } from "./icons";
import { saveAs } from "./saveAs";
import { useMedia } from "./useMedia";
import { refusal } from "./wording";

const pictureMax = { width: 360, height: 280 };

export function Attachments({ attachments }: { attachments: readonly Attachment[] }) {
  if (attachments.length === 0) return null;
  return (
    <ul className="attachments" aria-label="Attachments">
      {attachments.map((attachment) => (
        <li key={attachment.id}>{isPicture(attachment) ? <Picture attachment={attachment} /> : <File attachment={attachment} />}</li>
      ))}
    </ul>
  );
}

function isPicture({ type, width, height }: Attachment): boolean {
  return type.startsWith("image/") && Boolean(width) && Boolean(height);
}

function Picture({ attachment }: { attachment: Attachment }) {
  const box = useRef<HTMLButtonElement>(null);
  const media = useMedia(attachment.id, "thumb", box);
  const [open, setOpen] = useState(false);
  const width = attachment.width ?? 1;
  const height = attachment.height ?? 1;
  const scale = Math.min(1, pictureMax.width / width, pictureMax.height / height);
  if (media.name === "failed") return <File attachment={attachment} />;
  return (
    <>
      <button
        type="button"
        ref={box}
        className="picture"
        data-testid="picture"
        style={{ width: width * scale, aspectRatio: `${width} / ${height}` }}
        aria-label={`Open ${attachment.name}`}
        onClick={() => setOpen(true)}
      >
        {media.name === "ready" && <img src={media.url} alt={attachment.name} />}
      </button>
      {open && <Lightbox attachment={attachment} onClose={() => setOpen(false)} />}
    </>
  );
}

function Lightbox({ attachment, onClose }: { attachment: Attachment; onClose: () => void }) {
  const media = useMedia(attachment.id, undefined, null);
  return (
    <Dialog title={attachment.name} onClose={onClose} wide>
      <div className="lightbox" aria-busy={media.name === "loading"}>
        {media.name === "ready" && <img src={media.url} alt={attachment.name} />}
        {media.name === "failed" && <p className="muted">This picture cannot be shown right now.</p>}
      </div>
    </Dialog>
  );
}

function File({ attachment }: { attachment: Attachment }) {
  const client = useClient();
  const [failure, setFailure] = useState<string | null>(null);

  async function save() {
    try {
      saveAs(await client.api.media(attachment.id), attachment.name);
      setFailure(null);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setFailure(refusal(error.reason, error.detail));
    }
  }

  return (
    <button type="button" className="attachment" data-testid="file" aria-label={`Save ${attachment.name}`} onClick={() => void save()}>
      <PaperclipIcon />
      <span className="attachment-name">{attachment.name}</span>
      <span className="muted">{failure ?? fileSize(attachment.size)}</span>
    </button>
  );
}

export function fileSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KB", "MB", "GB"];
  const power = Math.min(units.length, Math.floor(Math.log(bytes) / Math.log(1024)));
  return `${(bytes / 1024 ** power).toFixed(power > 1 ? 1 : 0)} ${units[power - 1] ?? ""}`;
}
