/** Owns the bar of actions on a message, shown on hover and focus. */
import { useCallback, useState } from "react";

import type { Message } from "../client";
import { useClientState } from "./hooks";
import { EmojiPicker } from "./EmojiPicker";
import { PencilIcon, SmileIcon, TrashIcon } from "./icons";
import { useCommand } from "./useCommand";

interface Props {
  message: Message;
  mine: boolean;
  mayDelete: boolean;
  onEdit: () => void;
  onFailure: (words: string | null) => void;
}

export function MessageActions({ message, mine, mayDelete, onEdit, onFailure }: Props) {
  const me = useClientState((state) => state.me?.user ?? "");
  const [picking, setPicking] = useState(false);
  const [sure, setSure] = useState(false);
  const run = useCommand(onFailure);
  const close = useCallback(() => setPicking(false), []);
  const about = { channel: message.channel, message: message.id };

  function react(emoji: string) {
    setPicking(false);
    const remove = message.reactions.some((r) => r.emoji === emoji && r.users.includes(me));
    void run({ type: "react", ...about, emoji, remove });
  }

  return (
    <div className="message-actions" data-open={picking || sure} role="group" aria-label="Message actions">
      <button type="button" className="icon-button small" data-testid="react" aria-label="Add reaction" title="Add reaction" aria-expanded={picking} onClick={() => setPicking(!picking)}>
        <SmileIcon />
      </button>
      {mine && (
        <button type="button" className="icon-button small" data-testid="edit" aria-label="Edit message" title="Edit" onClick={onEdit}>
          <PencilIcon />
        </button>
      )}
      {mayDelete && !sure && (
        <button type="button" className="icon-button small" data-testid="delete" aria-label="Delete message" title="Delete" onClick={() => setSure(true)}>
          <TrashIcon />
        </button>
      )}
      {sure && (
        <button
          type="button"
          className="button button-danger small"
          data-testid="delete-confirm"
          autoFocus
          onBlur={() => setSure(false)}
          onClick={() => void run({ type: "delete", ...about })}
        >
          Delete?
        </button>
      )}
      {picking && <EmojiPicker onPick={react} onClose={close} />}
    </div>
  );
}
