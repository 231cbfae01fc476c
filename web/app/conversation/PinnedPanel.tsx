/** The pinned messages of a conversation. */
import type { Channel } from "../../client";
import { PersonAvatar } from "../ui/Avatar";
import { useConversation } from "../state/conversation";
import { useClientState } from "../state/client";
import { PinIcon } from "../ui/icons";
import { Panel } from "../ui/Panel";
import { useMessages } from "./useMessages";
import { PersonName } from "../ui/PersonName";
import { personName, plainText, refusal, shortTime } from "../text/wording";

export function PinnedPanel({ channel, onClose }: { channel: Channel; onClose: () => void }) {
  const names = useClientState((state) => state.names);
  const { goToMessage } = useConversation();
  const { messages, problem } = useMessages(channel, null);
  return (
    <Panel title="Pinned" note={messages?.length} testid="pinned" onClose={onClose}>
      {problem !== null && (
        <p className="form-error panel-note" role="alert">
          {refusal(problem)}
        </p>
      )}
      {messages?.length === 0 && (
        <div className="panel-empty muted">
          <PinIcon />
          <p>Pinned messages appear here for everyone.</p>
        </div>
      )}
      <ul className="panel-list">
        {messages?.map((message) => (
          <li key={message.id}>
            <button type="button" className="found" data-testid="pinned-message" onClick={() => goToMessage(message.seq)}>
              <PersonAvatar id={message.sender} name={personName({ names }, message.sender)} />
              <span className="found-text">
                <span className="found-head">
                  <b>
                    <PersonName user={message.sender} />
                  </b>
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
