/** The attachments below a message: pictures in a box of their final size, other files as a button that saves them. */
import { useRef, useState } from "react";

import type { Attachment } from "../../client";
import { lazily } from "../ui/lazily";
import { useClient } from "../state/client";
import { PaperclipIcon } from "../ui/icons";
import { saveAs } from "../browser/saveAs";
import { useMedia } from "./useMedia";
import { useAttempt } from "../state/useAttempt";
import { lineOf } from "../text/isolation";
import { fileSize } from "../text/wording";

const Lightbox = lazily(() => import("./Lightbox").then((module) => module.Lightbox));

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

/** `alt` describes it; without one, its name does. */
export function Picture({ attachment, alt = lineOf(attachment.name) }: { attachment: Attachment; alt?: string }) {
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
        aria-label={`Open ${alt}`}
        onClick={() => setOpen(true)}
      >
        {media.name === "ready" && <img src={media.url} alt={alt} />}
      </button>
      {open && <Lightbox attachment={attachment} onClose={() => setOpen(false)} />}
    </>
  );
}

function File({ attachment }: { attachment: Attachment }) {
  const client = useClient();
  const { failure, attempt } = useAttempt();
  const save = () => attempt(async () => saveAs(await client.api.media(attachment.id), lineOf(attachment.name)));

  return (
    <button type="button" className="attachment" data-testid="file" aria-label={`Save ${lineOf(attachment.name)}`} onClick={() => void save()}>
      <PaperclipIcon />
      <bdi className="attachment-name">{lineOf(attachment.name)}</bdi>
      <span className="muted">{failure ?? fileSize(attachment.size)}</span>
    </button>
  );
}
