/** Confirms blocking a user's direct messages. */
import { useClient } from "../state/client";
import { isolated } from "../text/isolation";
import { ConfirmDialog } from "../ui/ConfirmDialog";

/** `title` is the user's display name. */
export function BlockDialog({ user, title, onClose }: { user: string; title: string; onClose: () => void }) {
  const client = useClient();
  return (
    <ConfirmDialog title={`Block ${isolated(title)}?`} action="Block" danger run={() => client.people.setBlocked(user, true)} onClose={onClose}>
      <p>You won't receive direct messages from them. Shared conversations stay as they are. They are not notified.</p>
    </ConfirmDialog>
  );
}
