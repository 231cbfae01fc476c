/** Owns the list of people whom the caller has blocked. */
import { useEffect } from "react";

import { PersonAvatar } from "./Avatar";
import { Dialog } from "./Dialog";
import { useClient, useClientState } from "./hooks";
import { useAttempt } from "./useAttempt";
import { personName } from "./wording";

export function BlockedDialog({ onClose }: { onClose: () => void }) {
  const client = useClient();
  const blocked = useClientState((state) => state.blocked);
  const names = useClientState((state) => state.names);
  const { failure, attempt } = useAttempt();

  useEffect(() => {
    void client.directory.loadBlocked();
  }, [client]);

  async function lift(user: string) {
    await attempt(async () => {
      await client.directory.setBlocked(user, false);
    });
  }

  return (
    <Dialog title="Blocked people" onClose={onClose}>
      <div className="form">
        <p className="form-note muted">Their direct messages do not reach you. They are not told.</p>
        {blocked.size === 0 && <p className="options-none muted">You have blocked nobody.</p>}
        <ul className="blocked-list">
          {[...blocked].map((user) => (
            <li key={user} className="member" data-testid="blocked-person">
              <PersonAvatar id={user} name={personName({ names }, user)} />
              <span className="member-name">{personName({ names }, user)}</span>
              <button type="button" className="button small" onClick={() => void lift(user)}>
                Unblock
              </button>
            </li>
          ))}
        </ul>
        <p className="form-error" role="alert">
          {failure}
        </p>
      </div>
    </Dialog>
  );
}
