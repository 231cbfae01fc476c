/** Owns the list of what is pinned in a conversation. */
import type { Channel } from "../client";
import { PersonAvatar } from "./Avatar";
import { useConversation } from "./conversationContext";
import { useClientState } from "./hooks";
import { PinIcon } from "./icons";
import { Panel } from "./Panel";
import { useMessages } from "./useMessages";
import { personName, plainText, shortTime } from "./wording";

export function PinnedPanel({ channel, onClose }: { channel: Channel; onClose: () => void }) {
  const names = useClientState((state) => state.names);
  const { goToMessage } = useConversation();
  const { messages, failure } = useMessages(channel, null);
  return (
    <Panel title="Pinned" note={messages?.length} testid="pinned" onClose={onClose}>
      {failure !== null && (
        <p className="form-error panel-note" role="alert">
          {failure}
        </p>
      )}
      {messages?.length === 0 && (
        <div className="panel-empty muted">
          <PinIcon />
          <p>What is pinned is kept here, for everybody.</p>
        </div>
      )}
      <ul className="panel-list">
        {messages?.map((message) => (
          <li key={message.id}>
            <button type="button" className="found" data-testid="pinned-message" onClick={() => goToMessage(message.seq)}>
              <PersonAvatar id={message.sender} name={personName({ names }, message.sender)} />
              <span className="found-text">
                <span className="found-head">
                  <b>{personName({ names }, message.sender)}</b>
                  <time dateTime={message.at}>{shortTime(message.at)}</time>
                </span>
                <span className="found-words" dir="auto">
                  {plainText(message)}
                </span>
              </span>
            </button>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
