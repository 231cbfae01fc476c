/** What the caller is invited to, above the list of conversations; nothing where there is no invitation. */
import type { Invitation } from "../../client";
import { goTo } from "../browser/route";
import { useClient, useClientState } from "../state/client";
import { useAttempt } from "../state/useAttempt";
import { lineOf } from "../text/isolation";
import { ChannelAvatar } from "../ui/Avatar";
import { Failure } from "../ui/Failure";
import { PersonName } from "../ui/PersonName";

export function Invitations() {
  const invitations = useClientState((state) => state.invitations);
  if (invitations.length === 0) return null;
  return (
    <section className="invitations" aria-label="Invitations" data-testid="invitations">
      <h2>Invitations</h2>
      <ul>
        {invitations.map((invitation) => (
          <Item key={invitation.channel} invitation={invitation} />
        ))}
      </ul>
    </section>
  );
}

function Item({ invitation: { channel, kind, name, inviter } }: { invitation: Invitation }) {
  const client = useClient();
  const { busy, failure, attempt } = useAttempt();
  const answer = (accept: boolean) =>
    attempt(async () => {
      const joined = await client.people.answerInvitation(channel, accept);
      if (joined === null) return;
      client.addChannel(joined);
      goTo(joined.id);
    });
  const title = lineOf(name);
  return (
    <li className="invitation" data-testid="invitation">
      <ChannelAvatar kind={kind} />
      <div className="invitation-text">
        <p className="channel-title">
          <bdi>{title}</bdi>
        </p>
        <p className="muted">
          From <PersonName user={inviter} />
        </p>
        <div className="row">
          <button type="button" className="button button-primary small" data-testid="accept" aria-label={`Accept ${title}`} disabled={busy} onClick={() => void answer(true)}>
            Accept
          </button>
          <button type="button" className="button small" data-testid="decline" aria-label={`Decline ${title}`} disabled={busy} onClick={() => void answer(false)}>
            Decline
          </button>
        </div>
        {failure !== null && <Failure text={failure} />}
      </div>
    </li>
  );
}
