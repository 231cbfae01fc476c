/** Owns one member in the list: who they are, their role, and what the caller may do with them. */
import { useState } from "react";

import { grantableRoles, may, mayModerate } from "../client";
import type { Channel, Member } from "../client";
import { PersonAvatar } from "./Avatar";
import { useClient, useClientState } from "./hooks";
import { BanIcon, ChatIcon, CheckIcon, ClockIcon, CloseIcon, LeaveIcon, MoreIcon, RoleIcon } from "./icons";
import { MenuButton } from "./Menu";
import type { MenuItem } from "./Menu";
import { goTo } from "./route";
import { Sanction } from "./Sanction";
import type { SanctionName } from "./Sanction";
import { useAttempt } from "./useAttempt";

export function MemberItem({ channel, member }: { channel: Channel; member: Member }) {
  const client = useClient();
  const mine = useClientState((state) => state.me?.user === member.user);
  const admin = useClientState((state) => state.me?.roles.includes("admin") === true);
  const blocked = useClientState((state) => state.blocked.has(member.user));
  const status = useClientState((state) => (mine ? state.status : (state.presence.get(member.user)?.status ?? "offline")));
  const [asking, setAsking] = useState<SanctionName | null>(null);
  const { failure, attempt } = useAttempt();
  const name = member.name ?? member.user;

  const others: MenuItem[] = [];
  const rule: MenuItem[] = [];
  const tenant: MenuItem[] = [];
  if (!mine) {
    const write = async () => {
      const direct = await client.api.createChannel({ kind: "direct", members: [member.user] });
      client.addChannel(direct);
      goTo(direct.id);
    };
    if (channel.kind !== "direct") others.push({ id: "message", label: "Message directly", icon: <ChatIcon />, onPick: () => void attempt(write) });
    if (blocked) others.push({ id: "unblock", label: "Unblock", icon: <CheckIcon />, onPick: () => void attempt(() => client.directory.setBlocked(member.user, false)) });
    else others.push({ id: "block", label: "Block…", icon: <BanIcon />, onPick: () => setAsking("block") });
  }
  if (!mine && mayModerate(channel.role, member.role)) {
    if (may("change roles", channel)) {
      for (const role of grantableRoles(channel.role).filter((one) => one !== member.role)) {
        const change = () => client.api.changeRole(channel.id, member.user, role);
        rule.push({ id: `role-${role}`, label: `Make ${role}`, icon: <RoleIcon />, onPick: () => void attempt(change) });
      }
    }
    if (may("silence", channel)) {
      rule.push({ id: "silence", label: "Silence…", icon: <ClockIcon />, onPick: () => setAsking("silence") });
      rule.push({ id: "unsilence", label: "Lift silence", icon: <CheckIcon />, onPick: () => void attempt(() => client.api.unsilence(channel.id, member.user)) });
    }
    if (may("remove", channel)) {
      rule.push({ id: "remove", label: "Remove…", icon: <CloseIcon />, danger: true, onPick: () => setAsking("remove") });
      rule.push({ id: "ban", label: "Ban…", icon: <BanIcon />, danger: true, onPick: () => setAsking("ban") });
    }
  }
  if (admin && !mine) {
    tenant.push({ id: "revoke", label: "Sign out everywhere…", icon: <LeaveIcon />, danger: true, onPick: () => setAsking("revoke") });
    tenant.push({ id: "readmit", label: "Lift workspace block", icon: <CheckIcon />, onPick: () => void attempt(() => client.api.unblockUser(member.user)) });
    tenant.push({ id: "expel", label: "Block from workspace…", icon: <BanIcon />, danger: true, onPick: () => setAsking("expel") });
  }

  return (
    <li className="member" data-testid="member" data-user={member.user}>
      <PersonAvatar id={member.user} name={name} status={status} />
      <span className="member-name">
        {name}
        {mine && <span className="muted"> you</span>}
        {blocked && <span className="muted"> blocked</span>}
        {failure !== null && (
          <span className="form-error" role="alert">
            {failure}
          </span>
        )}
      </span>
      {member.role !== "member" && <span className="role">{member.role}</span>}
      <MenuButton label={`Actions for ${name}`} icon={<MoreIcon />} groups={[others, rule, tenant]} testid="member-menu" className="icon-button small" />
      {asking !== null && <Sanction name={asking} channel={channel} user={member.user} title={name} onClose={() => setAsking(null)} />}
    </li>
  );
}
