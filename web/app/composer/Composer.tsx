/**
 * The field for a new message: Enter sends, Shift+Enter starts a new line, Arrow Up in the empty field edits the caller's last
 * message. Files are picked, pasted or dropped. Drafts are kept per conversation and thread until the page is closed.
 * A text that begins with a slash runs a command: Tab, or Enter on an unfinished name, completes it.
 */
import { useRef, useState } from "react";
import type { KeyboardEvent } from "react";

import { may } from "../../client/policy";
import type { Channel } from "../../client";
import { CommandList } from "./CommandList";
import { CommandNote } from "./CommandNote";
import { ComposerFiles } from "./ComposerFiles";
import type { AppClient } from "../state/appClient";
import { useClient, useClientState } from "../state/client";
import { PaperclipIcon, SendIcon } from "../ui/icons";
import { useAutosize } from "../ui/useAutosize";
import { meaningOf } from "./slash";
import { useCompletion } from "./useCompletion";
import { useSlash } from "./useSlash";
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
  const slash = useSlash(channel.id, text.startsWith("/"));
  const completion = useCompletion(thread === undefined ? slash.commands : [], text, change);

  const attachments = uploads.flatMap(({ state }) => (state.name === "ready" ? [state.attachment] : []));
  const ready = (text.trim() !== "" || uploads.length > 0) && attachments.length === uploads.length;
  const over = new TextEncoder().encode(text).length - limit;

  function change(value: string) {
    setText(value);
    drafts.set(client, (drafts.get(client) ?? new Map<string, string>()).set(place, value));
    completion.reset();
    slash.forget();
    if (value.trim() !== "" && !value.startsWith("/")) client.typed(channel.id);
  }

  function sent() {
    change("");
    clear();
    field.current?.focus();
  }

  async function runCommand(name: string, argument: string) {
    if (thread !== undefined) return void slash.refuse("Commands do not run in threads. To post this as a message, begin with //.");
    if (uploads.length > 0) return void slash.refuse("A command cannot have files.");
    if (await slash.run(name, argument)) sent();
  }

  function send() {
    if (!ready || over > 0 || slash.busy) return;
    const meaning = meaningOf(text.trim());
    if (meaning.is === "command") return void runCommand(meaning.name, meaning.text);
    client.send({ channel: channel.id, text: meaning.text, ...(thread !== undefined && { thread }), ...(attachments.length > 0 && { attachments }) });
    sent();
    onSent();
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.nativeEvent.isComposing) return;
    if (completion.onKey(event)) return;
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
      <CommandNote note={slash.note} onDismiss={slash.dismiss} />
      {completion.list !== null && <CommandList {...completion.list} />}
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
          {...completion.field}
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
        <button className="send" data-testid={thread === undefined ? "send" : "thread-send"} aria-label="Send" title="Send" disabled={!ready || over > 0 || slash.busy}>
          <SendIcon />
        </button>
      </div>
      {slash.busy && (
        <p className="form-note muted" role="status">
          Waiting for an answer…
        </p>
      )}
      {slash.failure !== null && (
        <p className="form-error" role="alert" data-testid="command-failure">
          {slash.failure}
        </p>
      )}
      {over > 0 && (
        <p className="form-error" role="alert">
          The message is {over.toLocaleString()} bytes too long.
        </p>
      )}
    </form>
  );
}
