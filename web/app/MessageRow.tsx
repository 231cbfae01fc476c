/** Owns one stored message: author, text, reactions, and what can be done with it. */
import { memo, useState } from "react";

import type { Message } from "../client";
import { Attachments } from "./Attachments";
import { PersonAvatar } from "./Avatar";
import { EditForm } from "./EditForm";
import { useClientState } from "./hooks";
import { MessageActions } from "./MessageActions";
import { Reactions } from "./Reactions";
import { isJumbo, RichText } from "./text";
import { clockTime, fullTime, personName } from "./wording";

interface Props {
  message: Message;
  headed: boolean;
  /** May delete others' messages. */
  moderates: boolean;
  editing: boolean;
  tabbable: boolean;
  onEdit: (message: string | null) => void;
}

export const MessageRow = memo(function MessageRow({ message, headed, moderates, editing, tabbable, onEdit }: Props) {
  const name = useClientState((state) => personName(state, message.sender));
  const mine = useClientState((state) => state.me?.user === message.sender);
  const [failure, setFailure] = useState<string | null>(null);

  return (
    <article
      className={headed ? "message headed" : "message"}
      data-testid="message"
      data-seq={message.seq}
      data-id={message.id}
      data-mine={mine}
      aria-label={`${name}, ${clockTime(message.at)}`}
      tabIndex={tabbable ? 0 : -1}
    >
      {headed ? (
        <PersonAvatar id={message.sender} name={name} />
      ) : (
        <time className="message-side" dateTime={message.at} title={fullTime(message.at)}>
          {clockTime(message.at)}
        </time>
      )}
      <div className="message-main">
        {headed && (
          <header className="message-head">
            <strong>{name}</strong>
            <time dateTime={message.at} title={fullTime(message.at)}>
              {clockTime(message.at)}
            </time>
          </header>
        )}
        {editing ? <EditForm message={message} onDone={() => onEdit(null)} /> : <Body message={message} />}
        <Attachments attachments={message.attachments} />
        {!message.deleted && <Reactions message={message} onFailure={setFailure} />}
        {failure !== null && (
          <p className="message-failure" role="alert">
            {failure}
          </p>
        )}
      </div>
      {!message.deleted && !editing && (
        <MessageActions message={message} mine={mine} mayDelete={mine || moderates} onEdit={() => onEdit(message.id)} onFailure={setFailure} />
      )}
    </article>
  );
});

function Body({ message }: { message: Message }) {
  if (message.deleted) return <p className="message-text message-gone">Message deleted</p>;
  const text = message.text ?? "";
  if (text === "") return null;
  return (
    <p className={isJumbo(text) ? "message-text message-jumbo" : "message-text"} data-testid="message-text" dir="auto">
      <RichText text={text} />
      {message.edited_at !== null && (
        <span className="message-edited" title={fullTime(message.edited_at)}>
          {" "}
          edited
        </span>
      )}
    </p>
  );
}
