/** Owns the list of a channel's members, adding people, and leaving. */
import { useState } from "react";

import { Problem } from "../client";
import type { Channel, Member, Person } from "../client";
import { PersonAvatar } from "./Avatar";
import { useClient, useClientState } from "./hooks";
import { BellIcon, CloseIcon, LeaveIcon, LinkIcon, MutedIcon, PlusIcon } from "./icons";
import { PeoplePicker } from "./PeoplePicker";
import { goTo, linkTo } from "./route";
import { refusal } from "./wording";

const nobody: readonly Member[] = [];

export function MembersPanel({ channel, onClose }: { channel: Channel; onClose: () => void }) {
  const client = useClient();
  const members = useClientState((state) => state.members.get(channel.id) ?? nobody);
  const me = useClientState((state) => state.me?.user ?? "");
  const [adding, setAdding] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const moderates = channel.role === "owner" || channel.role === "moderator";
  const mayAdd = channel.kind !== "direct" && (moderates || (channel.kind === "group" && channel.role === "member"));

  async function attempt(action: () => Promise<unknown>) {
    try {
      await action();
      setFailure(null);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setFailure(refusal(error.reason, error.detail));
    }
  }

  function add(people: readonly Person[]) {
    setAdding(false);
    void attempt(async () => {
      await client.api.addMembers(channel.id, people.map((person) => person.user));
      await client.directory.loadMembers(channel.id);
    });
  }

  return (
    <aside className="members" aria-label="Members" data-testid="members">
      <header className="members-head">
        <h3>Members</h3>
        <span className="muted">{members.length}</span>
        <button type="button" className="icon-button" onClick={onClose} aria-label="Close members">
          <CloseIcon />
        </button>
      </header>
      {adding && <PeoplePicker chosen={[]} onChange={add} single without={members.map((member) => member.user)} />}
      <ul className="members-list">
        {members.map((member) => (
          <MemberItem
            key={member.user}
            member={member}
            removable={moderates && member.user !== me && channel.kind !== "direct"}
            onRemove={() =>
              void attempt(async () => {
                await client.api.removeMember(channel.id, member.user);
                await client.directory.loadMembers(channel.id);
              })
            }
          />
        ))}
      </ul>
      <p className="form-error" role="alert">
        {failure}
      </p>
      <footer className="members-foot">
        {mayAdd && (
          <button type="button" className="button button-quiet" data-testid="add-member" aria-expanded={adding} onClick={() => setAdding(!adding)}>
            <PlusIcon /> Add people
          </button>
        )}
        <button
          type="button"
          className="button button-quiet"
          data-testid="mute"
          aria-pressed={channel.muted}
          onClick={() => void attempt(async () => client.adopt(await client.api.mute(channel.id, !channel.muted)))}
        >
          {channel.muted ? <BellIcon /> : <MutedIcon />} {channel.muted ? "Unmute" : "Mute"}
        </button>
        {channel.kind === "public" && window.isSecureContext && (
          <button type="button" className="button button-quiet" onClick={() => void navigator.clipboard.writeText(linkTo(channel.id))}>
            <LinkIcon /> Copy link to join
          </button>
        )}
        {channel.kind !== "direct" && (
          <button
            type="button"
            className="button button-quiet"
            data-testid="leave"
            onClick={() =>
              void attempt(async () => {
                await client.api.removeMember(channel.id, me);
                goTo(null);
              })
            }
          >
            <LeaveIcon /> Leave
          </button>
        )}
      </footer>
    </aside>
  );
}

function MemberItem({ member, removable, onRemove }: { member: Member; removable: boolean; onRemove: () => void }) {
  const mine = useClientState((state) => state.me?.user === member.user);
  const status = useClientState((state) => (mine ? "online" : (state.presence.get(member.user)?.status ?? "offline")));
  const name = member.name ?? member.user;
  return (
    <li className="member" data-testid="member" data-user={member.user}>
      <PersonAvatar id={member.user} name={name} status={status} />
      <span className="member-name">
        {name}
        {mine && <span className="muted"> you</span>}
      </span>
      {member.role !== "member" && <span className="role">{member.role}</span>}
      {removable && (
        <button type="button" className="icon-button small" onClick={onRemove} aria-label={`Remove ${name}`} title="Remove">
          <CloseIcon />
        </button>
      )}
    </li>
  );
}
