/** Owns what can be done with a message: the bar shown on hover and focus, its menu, and the questions that some of it asks first. */
import { useCallback, useState } from "react";

import { may } from "../client";
import type { Message } from "../client";
import { ActionDialog } from "./ActionDialog";
import { useConversation } from "./conversationContext";
import { EmojiPicker } from "./EmojiPicker";
import { useClient, useClientState } from "./hooks";
import { CopyIcon, FlagIcon, MoreIcon, PencilIcon, PinIcon, ReplyIcon, SmileIcon, TrashIcon } from "./icons";
import { MenuButton } from "./Menu";
import type { MenuItem } from "./Menu";
import { useCommand } from "./useCommand";
import { personName } from "./wording";

interface Props {
  message: Message;
  mine: boolean;
  onEdit: () => void;
  onFailure: (words: string | null) => void;
}

export function MessageActions({ message, mine, onEdit, onFailure }: Props) {
  const conversation = useConversation();
  const me = useClientState((state) => state.me?.user ?? "");
  const [picking, setPicking] = useState(false);
  const [menu, setMenu] = useState(false);
  const [asking, setAsking] = useState<"delete" | "report" | null>(null);
  const run = useCommand(onFailure);
  const closePicker = useCallback(() => setPicking(false), []);
  const about = { channel: message.channel, message: message.id };
  const mayReact = may("react", conversation);

  function react(emoji: string) {
    setPicking(false);
    const remove = message.reactions.some((r) => r.emoji === emoji && r.users.includes(me));
    void run({ type: "react", ...about, emoji, remove });
  }

  const words: MenuItem[] = [];
  if (mine) words.push({ id: "edit", label: "Edit", icon: <PencilIcon />, onPick: onEdit });
  if (may("pin", conversation)) {
    const label = message.pinned ? "Unpin" : "Pin";
    words.push({ id: "pin", label, icon: <PinIcon />, onPick: () => void run({ type: "pin", ...about, remove: message.pinned }) });
  }
  if (message.text !== null && message.text !== "" && window.isSecureContext) {
    const { text } = message;
    words.push({ id: "copy", label: "Copy text", icon: <CopyIcon />, onPick: () => void navigator.clipboard.writeText(text) });
  }
  const grave: MenuItem[] = [];
  if (!mine && may("report", conversation)) grave.push({ id: "report", label: "Report…", icon: <FlagIcon />, onPick: () => setAsking("report") });
  if (mine || may("delete others", conversation)) {
    grave.push({ id: "delete", label: "Delete…", icon: <TrashIcon />, danger: true, onPick: () => setAsking("delete") });
  }

  return (
    <div className="message-actions" data-open={picking || menu || asking !== null} role="group" aria-label="Message actions">
      {mayReact && (
        <button type="button" className="icon-button small" data-testid="react" aria-label="Add reaction" title="Add reaction" aria-expanded={picking} onClick={() => setPicking(!picking)}>
          <SmileIcon />
        </button>
      )}
      {may("post", conversation) && (
        <button type="button" className="icon-button small" data-testid="reply" aria-label="Reply in thread" title="Reply in thread" onClick={() => conversation.openThread(message.thread ?? message.id)}>
          <ReplyIcon />
        </button>
      )}
      <MenuButton label="More actions" icon={<MoreIcon />} groups={[words, grave]} testid="more" className="icon-button small" onOpen={setMenu} />
      {picking && <EmojiPicker onPick={react} onClose={closePicker} />}
      {asking === "delete" && <DeleteDialog message={message} mine={mine} onClose={() => setAsking(null)} />}
      {asking === "report" && <ReportDialog message={message} onClose={() => setAsking(null)} />}
    </div>
  );
}

function DeleteDialog({ message, mine, onClose }: { message: Message; mine: boolean; onClose: () => void }) {
  const client = useClient();
  const name = useClientState((state) => personName(state, message.sender));
  const run = () => client.run({ type: "delete", channel: message.channel, message: message.id });
  return (
    <ActionDialog title="Delete this message?" action="Delete" danger run={run} onClose={onClose}>
      <p>{mine ? "It is taken away for everybody, and cannot be brought back." : `${name} wrote it. It is taken away for everybody, and noted in the audit log.`}</p>
      <Quote message={message} />
    </ActionDialog>
  );
}

function ReportDialog({ message, onClose }: { message: Message; onClose: () => void }) {
  const client = useClient();
  const name = useClientState((state) => personName(state, message.sender));
  return (
    <ActionDialog
      title="Report to the moderators"
      action="Report"
      reason={{ label: "What is wrong with it?", needed: true }}
      run={({ reason }) => client.api.report(message.channel, message.id, reason)}
      onClose={onClose}
    >
      <p>The moderators see this message of {name} as it stands now, what stands around it, and your name.</p>
      <Quote message={message} />
    </ActionDialog>
  );
}

function Quote({ message }: { message: Message }) {
  if (message.text === null || message.text === "") return null;
  return (
    <blockquote className="quote" dir="auto">
      {message.text}
    </blockquote>
  );
}
