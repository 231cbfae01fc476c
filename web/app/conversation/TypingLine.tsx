/** The line below the composer: who is typing, and the slow mode. Its space is always reserved, so that nothing moves. */
import { may } from "../../client/policy";
import type { Channel } from "../../client";
import { useClientState } from "../state/client";
import { ClockIcon } from "../ui/icons";
import { isolated } from "../text/isolation";
import { Sentence } from "../text/Sentence";
import { listNames, personName, spanWords } from "../text/wording";

export function TypingLine({ channel }: { channel: Channel }) {
  const slow = channel.slowModeSeconds > 0 && !may("skip slow mode", channel);
  const words = useClientState((state) => {
    const users = state.typing.get(channel.id) ?? [];
    if (users.length === 0) return "";
    return `${listNames(users.map((user) => isolated(personName(state, user))))} ${users.length === 1 ? "is" : "are"} typing`;
  });
  return (
    <div className="typing-line">
      <p className="typing-words" data-testid="typing" aria-live="polite">
        {words !== "" && (
          <>
            <span className="typing-dots" aria-hidden="true">
              <i />
              <i />
              <i />
            </span>
            <Sentence text={words} />
          </>
        )}
      </p>
      {slow && (
        <p className="slow-mode" data-testid="slow-mode">
          <ClockIcon /> One message every {spanWords(channel.slowModeSeconds)}
        </p>
      )}
    </div>
  );
}
