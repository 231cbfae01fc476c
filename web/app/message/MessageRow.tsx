/** One stored message: author, text, attachments, reactions, its thread, and its actions. */
import { memo } from "react";

import type { Command, Message } from "../../client";
import { Attachments } from "./Attachments";
import { Blocks, blocksOf, unshown } from "./Blocks";
import { PersonAvatar } from "../ui/Avatar";
import { useConversation } from "../state/conversation";
import { EditForm } from "./EditForm";
import { useClient, useClientState } from "../state/client";
import { useAttempt } from "../state/useAttempt";
import { PinIcon, ReplyIcon } from "../ui/icons";
import { MessageActions } from "./MessageActions";
import { Reactions } from "./Reactions";
import { isJumbo, RichText } from "../text/RichText";
import { PersonName } from "../ui/PersonName";
import { clockTime, fullTime, personName, plainText, sealedWords } from "../text/wording";

interface Props {
  message: Message;
  headed: boolean;
  editing: boolean;
  tabbable: boolean;
  onEdit: (message: string | null) => void;
  /** The message that this one replies to, if it is loaded; not shown inside a thread. */
  repliesTo?: Message | undefined;
  /** The number of loaded replies. */
  replies?: number;
  inThread?: boolean;
}

export const MessageRow = memo(function MessageRow({ message, headed, editing, tabbable, onEdit, repliesTo, replies = 0, inThread = false }: Props) {
  const name = useClientState((state) => personName(state, message.sender));
  const mine = useClientState((state) => state.me?.user === message.sender);
  const { openThread } = useConversation();
  const client = useClient();
  const { failure, attempt } = useAttempt();
  const run = (command: Command) => void attempt(() => client.run(command));

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
            <strong>
              <PersonName user={message.sender} />
            </strong>
            <time dateTime={message.at} title={fullTime(message.at)}>
              {clockTime(message.at)}
            </time>
          </header>
        )}
        {message.pinned && !message.deleted && (
          <p className="message-mark" data-testid="pinned-mark">
            <PinIcon /> Pinned
          </p>
        )}
        {message.thread !== null && !inThread && <ReplyLine thread={message.thread} message={repliesTo} />}
        {editing ? <EditForm message={message} onDone={() => onEdit(null)} /> : <Body message={message} />}
        <Attachments attachments={unshown(message)} />
        {!message.deleted && <Reactions message={message} onRun={run} />}
        {replies > 0 && !inThread && (
          <button type="button" className="link-button message-replies" data-testid="replies" onClick={() => openThread(message.id)}>
            <ReplyIcon /> {replies} {replies === 1 ? "reply" : "replies"}
          </button>
        )}
        {failure !== null && (
          <p className="message-failure" role="alert">
            {failure}
          </p>
        )}
      </div>
      {!message.deleted && !editing && <MessageActions message={message} mine={mine} onEdit={() => onEdit(message.id)} onRun={run} />}
    </article>
  );
});

/** The line above a reply that quotes the thread's first message and opens the thread. */
function ReplyLine({ thread, message }: { thread: string; message: Message | undefined }) {
  const { openThread } = useConversation();
  const name = useClientState((state) => (message === undefined ? "" : personName(state, message.sender)));
  return (
    <button type="button" className="message-answers" data-testid="answers" onClick={() => openThread(thread)}>
      <ReplyIcon />
      {message === undefined ? (
        <span>An earlier message</span>
      ) : (
        <span>
          <b>
            <bdi>{name}</bdi>
          </b>{" "}
          <bdi>{plainText(message)}</bdi>
        </span>
      )}
    </button>
  );
}

function Body({ message }: { message: Message }) {
  if (message.deleted) return <p className="message-text message-gone">Message deleted</p>;
  if (message.sealed !== undefined) {
    return (
      <p className="message-text message-gone" data-testid="message-sealed">
        {sealedWords}
        <Edited at={message.edited_at} />
      </p>
    );
  }
  const blocks = blocksOf(message);
  if (blocks !== null) {
    return (
      <>
        <Blocks message={message} blocks={blocks} />
        <Edited at={message.edited_at} />
      </>
    );
  }
  const text = message.text ?? "";
  if (text === "") return null;
  return (
    <p className={isJumbo(text) ? "message-text message-jumbo" : "message-text"} data-testid="message-text" dir="auto">
      <RichText text={text} />
      <Edited at={message.edited_at} />
    </p>
  );
}

function Edited({ at }: { at: string | null }) {
  if (at === null) return null;
  return (
    <span className="message-edited" title={fullTime(at)}>
      {" "}
      edited
    </span>
  );
}
