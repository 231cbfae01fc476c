/** A picture in full size. */
import type { Attachment } from "../../client";
import { Dialog } from "../ui/Dialog";
import { isolated, lineOf } from "../text/isolation";
import { useMedia } from "./useMedia";

export function Lightbox({ attachment, onClose }: { attachment: Attachment; onClose: () => void }) {
  const media = useMedia(attachment.id, undefined, null);
  return (
    <Dialog title={isolated(attachment.name)} onClose={onClose} wide>
      <div className="lightbox" aria-busy={media.name === "loading"}>
        {media.name === "ready" && <img src={media.url} alt={lineOf(attachment.name)} />}
        {media.name === "failed" && <p className="muted">This picture can't be shown right now.</p>}
      </div>
    </Dialog>
  );
}
