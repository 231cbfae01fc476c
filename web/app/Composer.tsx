/** Owns writing a message: Enter sends, Shift+Enter breaks the line, Up edits the last own message; files are picked, pasted or dropped. The draft stays per channel. */
import { useRef, useState } from "react";
import type { KeyboardEvent } from "react";

import type { Channel } from "../client";
import { ComposerFiles } from "./ComposerFiles";
import { useClient, useClientState } from "./hooks";
import { PaperclipIcon, SendIcon } from "./icons";
import { useAutosize } from "./useAutosize";
import { useUploads } from "./useUploads";

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
  const picker = useRef<HTMLInputElement>(null);
  const { uploads, add, remove, clear } = useUploads(channel.id);
  useAutosize(field, text);

  const attachments = uploads.flatMap(({ state }) => (state.name === "ready" ? [state.attachment] : []));
  const ready = (text.trim() !== "" || uploads.length > 0) && attachments.length === uploads.length;
  const over = new TextEncoder().encode(text).length - limit;

  function change(value: string) {
    setText(value);
    drafts.set(channel.id, value);
    if (value.trim() !== "") client.typed(channel.id);
  }

  function send() {
    if (!ready || over > 0) return;
    client.send({ channel: channel.id, text: text.trim(), ...(attachments.length > 0 ? { attachments } : {}) });
    change("");
    clear();
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
      <ComposerFiles uploads={uploads} onRemove={remove} />
      <div
        className="composer-box"
        onDragOver={(event) => event.preventDefault()}
        onDrop={(event) => {
          event.preventDefault();
          add(event.dataTransfer.files);
        }}
      >
        <input
          ref={picker}
          type="file"
          multiple
          hidden
          data-testid="file-input"
          onChange={(event) => {
            add(event.target.files ?? []);
            event.target.value = "";
          }}
        />
        <button type="button" className="icon-button attach" aria-label="Attach files" title="Attach files" onClick={() => picker.current?.click()}>
          <PaperclipIcon />
        </button>
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
          onPaste={(event) => {
            if (event.clipboardData.files.length === 0) return;
            event.preventDefault();
            add(event.clipboardData.files);
          }}
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
