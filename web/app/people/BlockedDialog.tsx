/** The people whom the caller has blocked. */
import { useEffect } from "react";

import { PersonAvatar } from "../ui/Avatar";
import { Dialog } from "../ui/Dialog";
import { useClient, useClientState } from "../state/client";
import { useAttempt } from "../state/useAttempt";
import { PersonName } from "../ui/PersonName";
import { personName } from "../text/wording";

export function BlockedDialog({ onClose }: { onClose: () => void }) {
  const client = useClient();
  const blocked = useClientState((state) => state.blocked);
  const names = useClientState((state) => state.names);
  const { failure, attempt } = useAttempt();

  useEffect(() => {
    void client.people.loadBlocked();
  }, [client]);

  return (
    <Dialog title="Blocked people" onClose={onClose}>
      <div className="form">
        <p className="form-note muted">You don't receive direct messages from these people. They are not notified.</p>
        {blocked.size === 0 && <p className="options-none muted">You haven't blocked anyone.</p>}
        <ul className="blocked-list">
          {[...blocked].map((user) => (
            <li key={user} className="member" data-testid="blocked-person">
              <PersonAvatar id={user} name={personName({ names }, user)} />
              <span className="member-name">
                <PersonName user={user} />
              </span>
              <button type="button" className="button small" onClick={() => void attempt(() => client.people.setBlocked(user, false))}>
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
