/** Confirms leaving a conversation. */
import type { Channel } from "../../client";
import { goTo } from "../browser/route";
import { useClient, useClientState } from "../state/client";
import { isolated } from "../text/isolation";
import { ConfirmDialog } from "../ui/ConfirmDialog";

export function LeaveDialog({ channel, title, onClose }: { channel: Channel; title: string; onClose: () => void }) {
  const client = useClient();
  const me = useClientState((state) => state.me?.user ?? "");
  const leave = async () => {
    await client.api.removeMember(channel.id, me);
    goTo(null);
  };
  return (
    <ConfirmDialog title={`Leave ${isolated(title)}?`} action="Leave" danger run={leave} onClose={onClose}>
      <p>{channel.kind === "public" ? "You can rejoin at any time." : "To come back, a member has to add you again."}</p>
    </ConfirmDialog>
  );
}
