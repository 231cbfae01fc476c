/** Owns the list of a channel's members and adding people; what can be done with one of them is `MemberItem`'s. */
import { useMemo, useState } from "react";

import { may } from "../client";
import type { Channel, Member, Person, Role } from "../client";
import { ActionDialog } from "./ActionDialog";
import { useClient, useClientState } from "./hooks";
import { BanIcon, PlusIcon } from "./icons";
import { MemberItem } from "./MemberItem";
import { Panel } from "./Panel";
import { PeoplePicker } from "./PeoplePicker";
import { useAttempt } from "./useAttempt";

const nobody: readonly Member[] = [];
const rank: Record<Role, number> = { owner: 0, moderator: 1, member: 2, reader: 3 };

export function MembersPanel({ channel, onClose }: { channel: Channel; onClose: () => void }) {
  const client = useClient();
  const members = useClientState((state) => state.members.get(channel.id) ?? nobody);
  const ordered = useMemo(() => [...members].sort((a, b) => rank[a.role] - rank[b.role] || nameOf(a).localeCompare(nameOf(b))), [members]);
  const [adding, setAdding] = useState(false);
  const [lifting, setLifting] = useState(false);
  const { failure, attempt } = useAttempt();

  async function add(people: readonly Person[]) {
    setAdding(false);
    await attempt(async () => {
      await client.api.addMembers(channel.id, people.map((person) => person.user));
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
      {(may("add", channel) || may("remove", channel)) && (
        <footer className="panel-foot">
          {may("add", channel) && (
            <button type="button" className="button button-quiet" data-testid="add-member" aria-expanded={adding} onClick={() => setAdding(!adding)}>
              <PlusIcon /> Add people
            </button>
          )}
          {may("remove", channel) && (
            <button type="button" className="button button-quiet" data-testid="lift-ban" onClick={() => setLifting(true)}>
              <BanIcon /> Lift a ban…
            </button>
          )}
        </footer>
      )}
      {lifting && <LiftBan channel={channel} without={members.map((member) => member.user)} onClose={() => setLifting(false)} />}
    </Panel>
  );
}

function LiftBan({ channel, without, onClose }: { channel: Channel; without: readonly string[]; onClose: () => void }) {
  const client = useClient();
  const [chosen, setChosen] = useState<readonly Person[]>([]);
  const [person] = chosen;
  const run = async () => {
    if (person !== undefined) await client.api.unban(channel.id, person.user);
  };
  return (
    <ActionDialog title="Lift a ban" action="Lift" ready={person !== undefined} run={run} onClose={onClose}>
      <p>Whoever was banned may join again, or be added.</p>
      <PeoplePicker chosen={chosen} onChange={setChosen} without={without} />
    </ActionDialog>
  );
}

function nameOf({ name, user }: Member): string {
  return name ?? user;
}
