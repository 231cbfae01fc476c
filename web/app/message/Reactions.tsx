/** The reactions below a message; pressing one adds or removes the caller's own. */
import type { Command, Message } from "../../client";
import { useClientState } from "../state/client";
import { isolated, unmarked } from "../text/isolation";
import { listNames, personName } from "../text/wording";

interface Props {
  message: Message;
  onRun: (command: Command) => void;
}

export function Reactions({ message, onRun }: Props) {
  const me = useClientState((state) => state.me?.user ?? "");
  const names = useClientState((state) => state.names);
  if (message.reactions.length === 0) return null;

  return (
    <div className="reactions">
      {message.reactions.map(({ emoji, count, users }) => {
        const mine = users.includes(me);
        const who = listNames(users.map((user) => (user === me ? "You" : isolated(personName({ names }, user)))), 6);
        return (
          <button
            key={emoji}
            type="button"
            className="reaction"
            data-testid="reaction"
            data-emoji={emoji}
            aria-pressed={mine}
            aria-label={unmarked(`${emoji}, ${count}: ${who}`)}
            title={who}
            onClick={() => onRun({ type: "react", channel: message.channel, message: message.id, emoji, remove: mine })}
          >
            <bdi>{emoji}</bdi>
            <span className="reaction-count">{count}</span>
          </button>
        );
      })}
    </div>
  );
}
