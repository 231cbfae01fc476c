/** Owns the reactions below a message; pressing one adds or takes back the caller's own. */
import type { Message } from "../client";
import { useClientState } from "./hooks";
import { useCommand } from "./useCommand";
import { listNames, personName } from "./wording";

interface Props {
  message: Message;
  onFailure: (words: string | null) => void;
}

export function Reactions({ message, onFailure }: Props) {
  const me = useClientState((state) => state.me?.user ?? "");
  const names = useClientState((state) => state.names);
  const run = useCommand(onFailure);
  if (message.reactions.length === 0) return null;

  return (
    <div className="reactions">
      {message.reactions.map(({ emoji, count, users }) => {
        const mine = users.includes(me);
        const who = listNames(users.map((user) => (user === me ? "You" : personName({ names }, user))), 6);
        return (
          <button
            key={emoji}
            type="button"
            className="reaction"
            data-testid="reaction"
            data-emoji={emoji}
            aria-pressed={mine}
            aria-label={`${emoji}, ${count}: ${who}`}
            title={who}
            onClick={() => void run({ type: "react", channel: message.channel, message: message.id, emoji, remove: mine })}
          >
            <span>{emoji}</span>
            <span className="reaction-count">{count}</span>
          </button>
        );
      })}
    </div>
  );
}
