/** Owns the bar above a conversation: what it is, the ways to its panels, and what can be done with it as a whole. */
import { useState } from "react";

import { may } from "../client";
import type { Channel } from "../client";
import { ActionDialog } from "./ActionDialog";
import { ChannelAvatar, PersonAvatar } from "./Avatar";
import { ChannelSettings } from "./ChannelSettings";
import { useClient, useClientState } from "./hooks";
import { BackIcon, BanIcon, BellIcon, CheckIcon, FlagIcon, GearIcon, LeaveIcon, LinkIcon, MoreIcon, MutedIcon, PeopleIcon, PinIcon, SearchIcon } from "./icons";
import { MenuButton } from "./Menu";
import type { MenuItem } from "./Menu";
import { goTo, linkTo } from "./route";
import { BlockDialog } from "./Sanction";
import { SearchDialog } from "./SearchDialog";
import { useAttempt } from "./useAttempt";
import { peerOf, shortTime } from "./wording";

export type PanelName = "members" | "pinned" | "reports" | "thread";

interface Props {
  channel: Channel;
  title: string;
  panel: PanelName | null;
  /** Reports that wait. */
  reports: number;
  onPanel: (name: PanelName) => void;
}

type Asking = "settings" | "leave" | "block" | "search" | null;

export function ConversationHead({ channel, title, panel, reports, onPanel }: Props) {
  const client = useClient();
  const me = useClientState((state) => state.me?.user ?? "");
  const peer = useClientState((state) => peerOf(state, channel));
  const blocked = useClientState((state) => peer !== null && state.blocked.has(peer));
  const [asking, setAsking] = useState<Asking>(null);
  const { failure, attempt } = useAttempt();
  const done = () => setAsking(null);

  /** On a phone the menu holds what has no room in the bar. */
  const views: MenuItem[] = [
    { id: "search", label: "Search here", icon: <SearchIcon />, narrow: true, onPick: () => setAsking("search") },
    { id: "pinned", label: "Pinned messages", icon: <PinIcon />, narrow: true, onPick: () => onPanel("pinned") },
  ];
  const own: MenuItem[] = [];
  if (may("see reports", channel)) own.push({ id: "reports", label: reports > 0 ? `Reports (${reports})` : "Reports", icon: <FlagIcon />, onPick: () => onPanel("reports") });
  if (may("change", channel)) own.push({ id: "settings", label: "Settings…", icon: <GearIcon />, onPick: () => setAsking("settings") });
  const mute = async () => client.addChannel(await client.api.mute(channel.id, !channel.muted));
  own.push({ id: "mute", label: channel.muted ? "Unmute" : "Mute", icon: channel.muted ? <BellIcon /> : <MutedIcon />, onPick: () => void attempt(mute) });
  if (channel.kind === "public" && window.isSecureContext) {
    own.push({ id: "link", label: "Copy link to join", icon: <LinkIcon />, onPick: () => void navigator.clipboard.writeText(linkTo(channel.id)) });
  }
  const away: MenuItem[] = [];
  if (peer !== null && blocked) away.push({ id: "unblock", label: "Unblock", icon: <CheckIcon />, onPick: () => void attempt(() => client.directory.setBlocked(peer, false)) });
  if (peer !== null && !blocked) away.push({ id: "block", label: `Block ${title}…`, icon: <BanIcon />, danger: true, onPick: () => setAsking("block") });
  if (may("leave", channel)) away.push({ id: "leave", label: "Leave…", icon: <LeaveIcon />, danger: true, onPick: () => setAsking("leave") });

  const leave = async () => {
    await client.api.removeMember(channel.id, me);
    goTo(null);
  };

  return (
    <header className="conversation-head">
      <button type="button" className="icon-button back" data-testid="back" onClick={() => goTo(null)} aria-label="Back to conversations">
        <BackIcon />
      </button>
      <Heading channel={channel} title={title} peer={peer} />
      {failure !== null && (
        <p className="form-error" role="alert">
          {failure}
        </p>
      )}
      {reports > 0 && <PanelButton name="reports" label={`Reports, ${reports} waiting`} count={reports} panel={panel} onPanel={onPanel} />}
      <button type="button" className="icon-button roomy" data-testid="search-here" aria-label="Search in this conversation" title="Search in this conversation" onClick={() => setAsking("search")}>
        <SearchIcon />
      </button>
      <PanelButton name="pinned" label="Pinned messages" panel={panel} onPanel={onPanel} />
      <PanelButton name="members" label="Members" panel={panel} onPanel={onPanel} />
      <MenuButton label="More about this conversation" icon={<MoreIcon />} groups={[views, own, away]} testid="conversation-menu" />
      {asking === "settings" && <ChannelSettings channel={channel} onClose={done} />}
      {asking === "search" && <SearchDialog channel={channel} onClose={done} />}
      {asking === "block" && peer !== null && <BlockDialog user={peer} title={title} onClose={done} />}
      {asking === "leave" && (
        <ActionDialog title={`Leave ${title}?`} action="Leave" danger run={leave} onClose={done}>
          <p>{channel.kind === "public" ? "You can join again whenever you like." : "Somebody who is in it has to add you again."}</p>
        </ActionDialog>
      )}
    </header>
  );
}

interface PanelButtonProps {
  name: "members" | "pinned" | "reports";
  label: string;
  count?: number;
  panel: PanelName | null;
  onPanel: (name: PanelName) => void;
}

const panelIcons = { members: PeopleIcon, pinned: PinIcon, reports: FlagIcon };

function PanelButton({ name, label, count, panel, onPanel }: PanelButtonProps) {
  const Icon = panelIcons[name];
  return (
    <button type="button" className={name === "pinned" ? "icon-button roomy" : "icon-button"} data-testid={`${name}-toggle`} aria-label={label} title={label} aria-expanded={panel === name} onClick={() => onPanel(name)}>
      <Icon />
      {count !== undefined && <span className="icon-count">{count}</span>}
    </button>
  );
}

function Heading({ channel, title, peer }: { channel: Channel; title: string; peer: string | null }) {
  const presence = useClientState((state) => (peer === null ? undefined : state.presence.get(peer)));
  const count = useClientState((state) => state.members.get(channel.id)?.length);
  const people = count === undefined ? "" : `${count} ${count === 1 ? "member" : "members"}`;
  const note = channel.kind === "direct" ? presenceWords(presence?.status, presence?.lastSeen) : [channel.topic, people].filter(Boolean).join(" · ");
  return (
    <div className="heading">
      {peer === null ? <ChannelAvatar kind={channel.kind} /> : <PersonAvatar id={peer} name={title} status={presence?.status ?? "offline"} />}
      <div className="heading-text">
        <h2 data-testid="conversation-title">{title}</h2>
        <p className="muted">{note === "" ? "\u00a0" : note}</p>
      </div>
    </div>
  );
}

function presenceWords(status: string | undefined, lastSeen: string | null | undefined): string {
  switch (status) {
    case "online":
      return "Online";
    case "away":
      return "Away";
    case "dnd":
      return "Do not disturb";
    default:
      return lastSeen === null || lastSeen === undefined ? "Offline" : `Last seen ${shortTime(lastSeen)}`;
  }
}
