/** The dialogs that confirm deleting and reporting a message. */
import type { Message } from "../../client";
import { useClient, useClientState } from "../state/client";
import { isolated } from "../text/isolation";
import { Sentence } from "../text/Sentence";
import { personName, sealedWords } from "../text/wording";
import { ConfirmDialog } from "../ui/ConfirmDialog";

interface Props {
  message: Message;
  onClose: () => void;
}

export function DeleteDialog({ message, mine, onClose }: Props & { mine: boolean }) {
  const client = useClient();
  const name = useClientState((state) => personName(state, message.sender));
  const run = () => client.run({ type: "delete", channel: message.channel, message: message.id });
  return (
    <ConfirmDialog title="Delete this message?" action="Delete" danger run={run} onClose={onClose}>
      <p>
        <Sentence text={mine ? "The message is deleted for everyone. This can't be undone." : `${isolated(name)}'s message is deleted for everyone, and the audit log records it. This can't be undone.`} />
      </p>
      <Quote message={message} />
    </ConfirmDialog>
  );
}

export function ReportDialog({ message, onClose }: Props) {
  const client = useClient();
  const name = useClientState((state) => personName(state, message.sender));
  const role = useClientState((state) => state.members.get(message.channel)?.members.find(({ user }) => user === message.sender)?.role);
  const readers = role === "owner" || role === "moderator" ? "administrators" : "moderators";
  return (
    <ConfirmDialog title={`Report to the ${readers}`} action="Report" reason="What's wrong with this message?" run={({ reason }) => client.moderation.report(message.channel, message.id, reason)} onClose={onClose}>
      <p>
        {readers === "moderators" ? "The moderators" : "The workspace's administrators, not the moderators,"} will see <bdi>{name}</bdi>'s message, {readers === "moderators" && "the messages around it, "}and your name.
      </p>
      <Quote message={message} />
    </ConfirmDialog>
  );
}

function Quote({ message }: { message: Message }) {
  const quoted = message.sealed === undefined ? message.text : sealedWords;
  if (quoted === null || quoted === "") return null;
  return (
    <blockquote className="quote" dir="auto">
      {quoted}
    </blockquote>
  );
}
