/** A user's display name, marked if it is a bot's, and followed by the user id if another known user has the same name. */
import { useClientState } from "../state/client";
import { isShared } from "../text/sharedNames";
import { personName } from "../text/wording";
import { BotBadge } from "./BotBadge";

export function PersonName({ user }: { user: string }) {
  const name = useClientState((state) => personName(state, user));
  const shared = useClientState((state) => isShared(state.names, user));
  return (
    <>
      <bdi>{name}</bdi>
      <BotBadge user={user} />
      {shared && (
        <span className="name-id muted" data-testid="name-id">
          {" "}
          <bdi>{user}</bdi>
        </span>
      )}
    </>
  );
}
