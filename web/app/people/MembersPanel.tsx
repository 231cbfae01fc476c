/** The members of a channel, and adding people. */
import { useMemo, useState } from "react";

import { may } from "../../client";
import type { Channel, Member, Person, Role } from "../../client";
import { useClient, useClientState } from "../state/client";
import { BanIcon, PlusIcon } from "../ui/icons";
import { MemberItem } from "./MemberItem";
import { lazily } from "../ui/lazily";
import { Panel } from "../ui/Panel";
import { isolated } from "../text/isolation";
import { Sentence } from "../text/Sentence";
import { listNames } from "../text/wording";
import { useAttempt } from "../state/useAttempt";

const PeoplePicker = lazily(() => import("./PeoplePicker").then((module) => module.PeoplePicker));
const UnbanDialog = lazily(() => import("./UnbanDialog").then((module) => module.UnbanDialog));

const noMembers: readonly Member[] = [];
const rank: Record<Role, number> = { owner: 0, moderator: 1, member: 2, reader: 3 };

export function MembersPanel({ channel, onClose }: { channel: Channel; onClose: () => void }) {
  const client = useClient();
  const members = useClientState((state) => state.members.get(channel.id) ?? noMembers);
  const ordered = useMemo(() => [...members].sort((a, b) => rank[a.role] - rank[b.role] || nameOf(a).localeCompare(nameOf(b))), [members]);
  const [adding, setAdding] = useState(false);
  const [invited, setInvited] = useState<readonly Person[]>([]);
  const [unbanning, setUnbanning] = useState(false);
  const { failure, attempt } = useAttempt();

  async function add(people: readonly Person[]) {
    setAdding(false);
    await attempt(async () => {
      const { invited = [] } = await client.api.addMembers(channel.id, people.map((person) => person.user));
      setInvited(people.filter(({ user }) => invited.includes(user)));
      await client.directory.loadMembers(channel.id);
    });
  }

  return (
    <Panel title="Members" note={members.length} testid="members" onClose={onClose}>
      {adding && <PeoplePicker chosen={[]} onChange={(people) => void add(people)} single without={members.map((member) => member.user)} />}
      <ul className="panel-list">
        {ordered.map((member) => (
          <MemberItem key={member.user} channel={channel} member={member} />
        ))}
      </ul>
      <p className="form-error" role="alert">
        {failure}
      </p>
      <p className={invited.length > 0 ? "panel-note muted" : "hidden"} role="status">
        {invited.length > 0 && <Sentence text={`${listNames(invited.map(({ name, user }) => isolated(name ?? user)))} can accept your invitation.`} />}
      </p>
      {(may("add", channel) || may("remove", channel)) && (
        <footer className="panel-foot">
          {may("add", channel) && (
            <button type="button" className="button button-quiet" data-testid="add-member" aria-expanded={adding} onClick={() => setAdding(!adding)}>
              <PlusIcon /> Add people
            </button>
          )}
          {may("remove", channel) && (
            <button type="button" className="button button-quiet" data-testid="lift-ban" onClick={() => setUnbanning(true)}>
              <BanIcon /> Lift a ban…
            </button>
          )}
        </footer>
      )}
      {unbanning && <UnbanDialog channel={channel} members={members.map((member) => member.user)} onClose={() => setUnbanning(false)} />}
    </Panel>
  );
}

function nameOf({ name, user }: Member): string {
  return name ?? user;
}
