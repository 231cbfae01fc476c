/** Owns attachments below a message. Media is only ever reached through `/v1/media`; this first cut names files, the pictures come with uploads. */
import type { Attachment } from "../client";
import { PaperclipIcon } from "./icons";

export function Attachments({ attachments }: { attachments: readonly Attachment[] }) {
  if (attachments.length === 0) return null;
  return (
    <ul className="attachments" aria-label="Attachments">
      {attachments.map((attachment) => (
        <li key={attachment.id} className="attachment">
          <PaperclipIcon />
          <span className="attachment-name">{attachment.name}</span>
          <span className="muted">{fileSize(attachment.size)}</span>
        </li>
      ))}
    </ul>
  );
}

function fileSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KB", "MB", "GB"];
  const power = Math.min(units.length, Math.floor(Math.log(bytes) / Math.log(1024)));
  return `${(bytes / 1024 ** power).toFixed(power > 1 ? 1 : 0)} ${units[power - 1] ?? ""}`;
}
