/** Marks a bot's name, to stand right behind it; nothing for a person's. */
import { isBot } from "../../client/bots";

export function BotBadge({ user }: { user: string }) {
  if (!isBot(user)) return null;
  return (
    <>
      {" "}
      <span className="bot-badge" data-testid="bot-badge">
        Bot
      </span>
    </>
  );
}
