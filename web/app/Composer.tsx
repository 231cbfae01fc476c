/** Owns writing a message: Enter sends, Shift+Enter breaks the line, Up edits the last own message. The draft stays per channel. */
import { useRef, useState } from "react";
import type { KeyboardEvent } from "react";

import type { Channel } from "../client";
import { useClient, useClientState } from "./hooks";
import { SendIcon } from "./icons";
import { useAutosize } from "./useAutosize";

const defaultTextBytes = 16 * 1024;
const drafts = new Map<string, string>();

interface Props {
  channel: Channel;
  title: string;
  onSent: () => void;
  onEditLast: () => void;
}

export function Composer({ channel, title, onSent, onEditLast }: Props) {
  const client = useClient();
  const limit = useClientState((state) => (state.connection.name === "open" ? state.connection.hello.limits.text_bytes : defaultTextBytes));
  const [text, setText] = useState(() => drafts.get(channel.id) ?? "");
  const field = useRef<HTMLTextAreaElement>(null);
  useAutosize(field, text);

  const ready = text.trim() !== "";
  const over = new TextEncoder().encode(text).length - limit;

  function change(value: string) {
    setText(value);
    drafts.set(channel.id, value);
    if (value.trim() !== "") client.typed(channel.id);
  }

  function send() {
    if (!ready || over > 0) return;
    client.send({ channel: channel.id, text: text.trim() });
    change("");
    onSent();
    field.current?.focus();
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && text === "") {
      event.preventDefault();
      onEditLast();
    }
  }

  if (!mayPost(channel)) return <p className="composer-closed muted">Only moderators write here.</p>;

  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div className="composer-box">
        <textarea
          ref={field}
          data-testid="composer"
          aria-label={`Message ${title}`}
          aria-invalid={over > 0}
          placeholder={`Message ${title}`}
          rows={1}
          value={text}
          onChange={(event) => change(event.target.value)}
          onKeyDown={onKeyDown}
          autoFocus={window.matchMedia("(hover: hover)").matches}
          dir="auto"
          enterKeyHint="send"
        />
        <button className="send" data-testid="send" aria-label="Send" title="Send" disabled={!ready || over > 0}>
          <SendIcon />
        </button>
      </div>
      {over > 0 && (
        <p className="form-error" role="alert">
          Too long by {over.toLocaleString()} bytes.
        </p>
      )}
    </form>
  );
}

/** The protocol's rule for posting, so that nobody writes what the server will refuse. */
function mayPost({ kind, role }: Channel): boolean {
  if (role === "owner" || role === "moderator") return true;
  return role === "member" && kind !== "broadcast";
}
