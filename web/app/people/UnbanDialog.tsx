/** Lifts a ban: asks for the person and confirms. */
import { useState } from "react";

import type { Channel, Person } from "../../client";
import { useClient } from "../state/client";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { PeoplePicker } from "./PeoplePicker";

/** `members` are not offered. */
export function UnbanDialog({ channel, members, onClose }: { channel: Channel; members: readonly string[]; onClose: () => void }) {
  const client = useClient();
  const [chosen, setChosen] = useState<readonly Person[]>([]);
  const [person] = chosen;
  const run = async () => {
    if (person !== undefined) await client.moderation.unban(channel.id, person.user);
  };
  return (
    <ConfirmDialog title="Lift a ban" action="Lift ban" ready={person !== undefined} run={run} onClose={onClose}>
      <p>Choose the person who was banned. They can then rejoin or be added again.</p>
      <PeoplePicker chosen={chosen} onChange={setChosen} single without={members} />
    </ConfirmDialog>
  );
}
