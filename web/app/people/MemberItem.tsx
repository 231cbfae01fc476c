/** One member in the list: name, role, and the menu of what the caller may do. */
import { useState } from "react";

import { grantableRoles, may, mayModerate } from "../../client/policy";
import type { Channel, Member } from "../../client";
import { PersonAvatar } from "../ui/Avatar";
import { useClient, useClientState } from "../state/client";
import { BanIcon, ChatIcon, CheckIcon, ClockIcon, CloseIcon, LeaveIcon, MoreIcon, RoleIcon } from "../ui/icons";
import { lazily } from "../ui/lazily";
import { MenuButton } from "../ui/Menu";
import type { MenuItem } from "../ui/Menu";
import { goTo } from "../browser/route";
import type { SanctionName } from "../moderation/SanctionDialog";
import { lineOf } from "../text/isolation";
import { Failure } from "../ui/Failure";
import { PersonName } from "../ui/PersonName";
import { useAttempt } from "../state/useAttempt";

const BlockDialog = lazily(() => import("./BlockDialog").then((module) => module.BlockDialog));
const SanctionDialog = lazily(() => import("../moderation/SanctionDialog").then((module) => module.SanctionDialog));

export function MemberItem({ channel, member }: { channel: Channel; member: Member }) {
  const client = useClient();
  const mine = useClientState((state) => state.me?.user === member.user);
  const admin = useClientState((state) => state.me?.roles.includes("admin") === true);
  const blocked = useClientState((state) => state.blocked.has(member.user));
  const status = useClientState((state) => (mine ? state.status : (state.presence.get(member.user)?.status ?? "offline")));
  const [dialog, setDialog] = useState<SanctionName | "block" | null>(null);
  const { failure, attempt } = useAttempt();
  const name = lineOf(member.name ?? member.user);

  const personal: MenuItem[] = [];
  const moderation: MenuItem[] = [];
  const workspace: MenuItem[] = [];
  if (!mine) {
    const openDirect = async () => {
      const direct = await client.api.createChannel({ kind: "direct", members: [member.user] });
      client.addChannel(direct);
      goTo(direct.id);
    };
    if (channel.kind !== "direct") personal.push({ id: "message", label: "Send direct message", icon: <ChatIcon />, onPick: () => void attempt(openDirect) });
    if (blocked) personal.push({ id: "unblock", label: "Unblock", icon: <CheckIcon />, onPick: () => void attempt(() => client.people.setBlocked(member.user, false)) });
    else personal.push({ id: "block", label: "Block…", icon: <BanIcon />, onPick: () => setDialog("block") });
  }
  if (!mine && mayModerate(channel.role, member.role)) {
    if (may("change roles", channel)) {
      for (const role of grantableRoles(channel.role).filter((one) => one !== member.role)) {
        const change = () => client.people.api.changeRole(channel.id, member.user, role);
        moderation.push({ id: `role-${role}`, label: `Make ${role}`, icon: <RoleIcon />, onPick: () => void attempt(change) });
      }
    }
    if (may("silence", channel)) {
      moderation.push({ id: "silence", label: "Silence…", icon: <ClockIcon />, onPick: () => setDialog("silence") });
      moderation.push({ id: "unsilence", label: "End silence", icon: <CheckIcon />, onPick: () => void attempt(() => client.moderation.unsilence(channel.id, member.user)) });
    }
    if (may("remove", channel)) {
      moderation.push({ id: "remove", label: "Remove…", icon: <CloseIcon />, danger: true, onPick: () => setDialog("remove") });
      moderation.push({ id: "ban", label: "Ban…", icon: <BanIcon />, danger: true, onPick: () => setDialog("ban") });
    }
  }
  if (admin && !mine) {
    workspace.push({ id: "revoke", label: "Sign out everywhere…", icon: <LeaveIcon />, danger: true, onPick: () => setDialog("revoke") });
    workspace.push({ id: "readmit", label: "Unblock from workspace", icon: <CheckIcon />, onPick: () => void attempt(() => client.moderation.unblockUser(member.user)) });
    workspace.push({ id: "expel", label: "Block from workspace…", icon: <BanIcon />, danger: true, onPick: () => setDialog("expel") });
  }

  return (
    <li className="member" data-testid="member" data-user={member.user}>
      <PersonAvatar id={member.user} name={name} status={status} />
      <div className="member-name">
        <PersonName user={member.user} />
        {mine && <span className="muted"> you</span>}
        {blocked && <span className="muted"> blocked</span>}
        {failure !== null && <Failure text={failure} />}
      </div>
      {member.role !== "member" && <span className="role">{member.role}</span>}
      <MenuButton label={`Actions for ${name}`} icon={<MoreIcon />} groups={[personal, moderation, workspace]} testid="member-menu" className="icon-button small" />
      {dialog === "block" && <BlockDialog user={member.user} title={name} onClose={() => setDialog(null)} />}
      {dialog !== null && dialog !== "block" && <SanctionDialog name={dialog} channel={channel} user={member.user} title={name} onClose={() => setDialog(null)} />}
    </li>
  );
}
