/** The members of a channel, and adding people. The server sorts and finds them; the panel loads a page at a time. */
import { useCallback, useState } from "react";

import { may } from "../../client/policy";
import type { Channel, Member, Person } from "../../client";
import { useClient, useClientState } from "../state/client";
import { useRequest } from "../state/useRequest";
import { BanIcon, PlusIcon } from "../ui/icons";
import { MemberItem } from "./MemberItem";
import { lazily } from "../ui/lazily";
import { Panel } from "../ui/Panel";
import { isolated } from "../text/isolation";
import { Sentence } from "../text/Sentence";
import { listNames, quantity } from "../text/wording";
import { useAttempt } from "../state/useAttempt";

const PeoplePicker = lazily(() => import("./PeoplePicker").then((module) => module.PeoplePicker));
const UnbanDialog = lazily(() => import("./UnbanDialog").then((module) => module.UnbanDialog));

const noMembers: readonly Member[] = [];
/** Up to so many members, the list needs no search field. */
const searchedMin = 12;
const pauseMs = 150;

export function MembersPanel({ channel, onClose }: { channel: Channel; onClose: () => void }) {
  const client = useClient();
  const roster = useClientState((state) => state.members.get(channel.id));
  const members = roster?.members ?? noMembers;
  const size = channel.members ?? members.length;
  const [query, setQuery] = useState("");
  const found = useFound(channel.id, query.trim());
  const [adding, setAdding] = useState(false);
  const [invited, setInvited] = useState<readonly Person[]>([]);
  const [unbanning, setUnbanning] = useState(false);
  const { failure, attempt } = useAttempt();

  async function add(people: readonly Person[]) {
    setAdding(false);
    await attempt(async () => {
      const { invited = [] } = await client.api.addMembers(channel.id, people.map((person) => person.user));
      setInvited(people.filter(({ user }) => invited.includes(user)));
      await client.people.loadMembers(channel.id);
    });
  }

  return (
    <Panel title="Members" note={quantity(size)} testid="members" onClose={onClose}>
      {adding && <PeoplePicker chosen={[]} onChange={(people) => void add(people)} single without={members.map((member) => member.user)} />}
      {size > searchedMin && !adding && (
        <input
          type="search"
          className="input panel-search"
          data-testid="member-search"
          aria-label="Find a member"
          placeholder="Find a member"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
        />
      )}
      <ul className="panel-list" aria-label="Members">
        {(found ?? members).map((member) => (
          <MemberItem key={member.user} channel={channel} member={member} />
        ))}
        {found === null && roster !== undefined && roster.next !== null && (
          <li>
            <button type="button" className="button button-quiet" data-testid="more-members" onClick={() => void client.people.moreMembers(channel.id)}>
              Show more
            </button>
          </li>
        )}
      </ul>
      <p className={found?.length === 0 ? "panel-note muted" : "hidden"} role="status">
        {found?.length === 0 && "No member's name begins like that."}
      </p>
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

/** Members whose names begin with `query`; null without one, and before the first answer. */
function useFound(channel: string, query: string): readonly Member[] | null {
  const client = useClient();
  const search = useCallback(() => client.people.findMembers(channel, query), [client, channel, query]);
  const { answer } = useRequest(query === "" ? null : search, pauseMs);
  return query === "" ? null : answer;
}
