/** The actions of a message: the bar shown on hover and focus, and its menu. */
import { useRef, useState } from "react";

import { may } from "../../client/policy";
import type { Command, Message } from "../../client";
import { useClientState } from "../state/client";
import { useConversation } from "../state/conversation";
import { CopyIcon, FlagIcon, MoreIcon, PencilIcon, PinIcon, ReplyIcon, SmileIcon, TrashIcon } from "../ui/icons";
import { lazily } from "../ui/lazily";
import { MenuButton } from "../ui/Menu";
import type { MenuItem } from "../ui/Menu";

const EmojiPicker = lazily(() => import("../ui/EmojiPicker").then((module) => module.EmojiPicker));
const DeleteDialog = lazily(() => import("./MessageDialogs").then((module) => module.DeleteDialog));
const ReportDialog = lazily(() => import("./MessageDialogs").then((module) => module.ReportDialog));

interface Props {
  message: Message;
  mine: boolean;
  onEdit: () => void;
  onRun: (command: Command) => void;
}

export function MessageActions({ message, mine, onEdit, onRun }: Props) {
  const conversation = useConversation();
  const me = useClientState((state) => state.me?.user ?? "");
  const [picking, setPicking] = useState(false);
  const [menu, setMenu] = useState(false);
  const [dialog, setDialog] = useState<"delete" | "report" | null>(null);
  const reactButton = useRef<HTMLButtonElement>(null);
  const target = { channel: message.channel, message: message.id };

  function react(emoji: string) {
    setPicking(false);
    const remove = message.reactions.some((r) => r.emoji === emoji && r.users.includes(me));
    onRun({ type: "react", ...target, emoji, remove });
  }

  const harmless: MenuItem[] = [];
  if (mine && message.sealed === undefined) harmless.push({ id: "edit", label: "Edit", icon: <PencilIcon />, onPick: onEdit });
  if (may("pin", conversation)) {
    const label = message.pinned ? "Unpin" : "Pin";
    harmless.push({ id: "pin", label, icon: <PinIcon />, onPick: () => onRun({ type: "pin", ...target, remove: message.pinned }) });
  }
  if (message.text !== null && message.text !== "" && window.isSecureContext) {
    const { text } = message;
    harmless.push({ id: "copy", label: "Copy text", icon: <CopyIcon />, onPick: () => void navigator.clipboard.writeText(text) });
  }
  const confirmed: MenuItem[] = [];
  if (!mine && may("report", conversation)) confirmed.push({ id: "report", label: "Report…", icon: <FlagIcon />, onPick: () => setDialog("report") });
  if (mine || may("delete others", conversation)) {
    confirmed.push({ id: "delete", label: "Delete…", icon: <TrashIcon />, danger: true, onPick: () => setDialog("delete") });
  }

  return (
    <div className="message-actions" data-open={picking || menu || dialog !== null} role="group" aria-label="Message actions">
      {may("react", conversation) && (
        <button ref={reactButton} type="button" className="icon-button small" data-testid="react" aria-label="Add reaction" title="Add reaction" aria-haspopup="dialog" aria-expanded={picking} onClick={() => setPicking(!picking)}>
          <SmileIcon />
        </button>
      )}
      {may("post", conversation) && (
        <button type="button" className="icon-button small" data-testid="reply" aria-label="Reply in thread" title="Reply in thread" onClick={() => conversation.openThread(message.thread ?? message.id)}>
          <ReplyIcon />
        </button>
      )}
      <MenuButton label="More actions" icon={<MoreIcon />} groups={[harmless, confirmed]} testid="more" className="icon-button small" onOpen={setMenu} />
      {picking && <EmojiPicker anchor={reactButton} onPick={react} onClose={() => setPicking(false)} />}
      {dialog === "delete" && <DeleteDialog message={message} mine={mine} onClose={() => setDialog(null)} />}
      {dialog === "report" && <ReportDialog message={message} onClose={() => setDialog(null)} />}
    </div>
  );
}
