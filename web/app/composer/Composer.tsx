/**
 * The field for a new message: Enter sends, Shift+Enter starts a new line, Arrow Up in the empty field edits the caller's last
 * message. Files are picked, pasted or dropped. Drafts are kept per conversation and thread until the page is closed.
 */
import { useRef, useState } from "react";
import type { KeyboardEvent } from "react";

import { may } from "../../client/policy";
import type { Channel } from "../../client";
import { ComposerFiles } from "./ComposerFiles";
import type { AppClient } from "../state/appClient";
import { useClient, useClientState } from "../state/client";
import { PaperclipIcon, SendIcon } from "../ui/icons";
import { useAutosize } from "../ui/useAutosize";
import { useUploads } from "./useUploads";

const defaultTextBytes = 16 * 1024;
/** Per client, so that the next user of this page does not see them. */
const drafts = new WeakMap<AppClient, Map<string, string>>();

interface Props {
  channel: Channel;
  title: string;
  /** The first message of the thread to reply in. */
  thread?: string;
  onSent: () => void;
  onEditLast: () => void;
}

export function Composer({ channel, title, thread, onSent, onEditLast }: Props) {
  const client = useClient();
  const place = thread ?? channel.id;
  const limit = useClientState((state) => (state.connection.name === "open" ? state.connection.hello.limits.text_bytes : defaultTextBytes));
  const [text, setText] = useState(() => drafts.get(client)?.get(place) ?? "");
  const field = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const { uploads, add, remove, clear } = useUploads(channel.id);
  useAutosize(field, text);

  const attachments = uploads.flatMap(({ state }) => (state.name === "ready" ? [state.attachment] : []));
  const ready = (text.trim() !== "" || uploads.length > 0) && attachments.length === uploads.length;
  const over = new TextEncoder().encode(text).length - limit;

  function change(value: string) {
    setText(value);
    drafts.set(client, (drafts.get(client) ?? new Map<string, string>()).set(place, value));
    if (value.trim() !== "") client.typed(channel.id);
  }

  function send() {
    if (!ready || over > 0) return;
    client.send({ channel: channel.id, text: text.trim(), ...(thread !== undefined && { thread }), ...(attachments.length > 0 && { attachments }) });
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

  if (!may("post", channel)) return <p className="composer-closed muted">{channel.role === "reader" ? "You can read but not post here." : "Only moderators can post here."}</p>;
  const label = thread === undefined ? `Message ${title}` : "Reply in this thread";

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
          data-testid={thread === undefined ? "composer" : "thread-composer"}
          aria-label={label}
          aria-invalid={over > 0}
          placeholder={label}
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
        <button className="send" data-testid={thread === undefined ? "send" : "thread-send"} aria-label="Send" title="Send" disabled={!ready || over > 0}>
          <SendIcon />
        </button>
      </div>
      {over > 0 && (
        <p className="form-error" role="alert">
          The message is {over.toLocaleString()} bytes too long.
        </p>
      )}
    </form>
  );
}
