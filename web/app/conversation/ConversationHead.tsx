/** The bar above a conversation: its title, the buttons of its panels, and its menu. */
import { useState } from "react";

import { may } from "../../client/policy";
import type { Channel } from "../../client";
import { ChannelAvatar, PersonAvatar } from "../ui/Avatar";
import { useClient, useClientState } from "../state/client";
import { BackIcon, BanIcon, BellIcon, BotIcon, CheckIcon, FlagIcon, GearIcon, LeaveIcon, LinkIcon, MoreIcon, MutedIcon, PeopleIcon, PinIcon, SearchIcon } from "../ui/icons";
import { lazily } from "../ui/lazily";
import { MenuButton } from "../ui/Menu";
import type { MenuItem } from "../ui/Menu";
import { goTo, linkTo } from "../browser/route";
import { useAttempt } from "../state/useAttempt";
import { isolated } from "../text/isolation";
import { PersonName } from "../ui/PersonName";
import { Sentence } from "../text/Sentence";
import { membersCount, peerOf, shortTime } from "../text/wording";

const ChannelSettings = lazily(() => import("../channels/ChannelSettings").then((module) => module.ChannelSettings));
const HooksDialog = lazily(() => import("../integrations/HooksDialog").then((module) => module.HooksDialog));
const LeaveDialog = lazily(() => import("../channels/LeaveDialog").then((module) => module.LeaveDialog));
const BlockDialog = lazily(() => import("../people/BlockDialog").then((module) => module.BlockDialog));
const SearchDialog = lazily(() => import("../search/SearchDialog").then((module) => module.SearchDialog));

export type PanelName = "members" | "pinned" | "reports" | "thread";

interface Props {
  channel: Channel;
  title: string;
  panel: PanelName | null;
  /** The number of open reports. */
  reports: number;
  onPanel: (name: PanelName) => void;
}

type DialogName = "settings" | "hooks" | "leave" | "block" | "search";

export function ConversationHead({ channel, title, panel, reports, onPanel }: Props) {
  const client = useClient();
  const peer = useClientState((state) => peerOf(state, channel));
  const blocked = useClientState((state) => peer !== null && state.blocked.has(peer));
  const [dialog, setDialog] = useState<DialogName | null>(null);
  const { failure, attempt } = useAttempt();
  const close = () => setDialog(null);

  /** On narrow screens the menu contains the buttons that do not fit in the bar. */
  const views: MenuItem[] = [
    { id: "search", label: "Search in conversation", icon: <SearchIcon />, narrow: true, onPick: () => setDialog("search") },
    { id: "pinned", label: "Pinned messages", icon: <PinIcon />, narrow: true, onPick: () => onPanel("pinned") },
  ];
  const own: MenuItem[] = [];
  if (may("see reports", channel)) own.push({ id: "reports", label: reports > 0 ? `Reports (${reports})` : "Reports", icon: <FlagIcon />, onPick: () => onPanel("reports") });
  if (may("change", channel)) own.push({ id: "settings", label: "Settings…", icon: <GearIcon />, onPick: () => setDialog("settings") });
  if (may("manage webhooks", channel)) own.push({ id: "hooks", label: "Incoming webhooks…", icon: <BotIcon />, onPick: () => setDialog("hooks") });
  const mute = async () => client.addChannel(await client.api.mute(channel.id, !channel.muted));
  own.push({ id: "mute", label: channel.muted ? "Unmute" : "Mute", icon: channel.muted ? <BellIcon /> : <MutedIcon />, onPick: () => void attempt(mute) });
  if (channel.kind === "public" && window.isSecureContext) {
    own.push({ id: "link", label: "Copy invite link", icon: <LinkIcon />, onPick: () => void navigator.clipboard.writeText(linkTo(channel.id)) });
  }
  const ending: MenuItem[] = [];
  if (peer !== null && blocked) ending.push({ id: "unblock", label: "Unblock", icon: <CheckIcon />, onPick: () => void attempt(() => client.people.setBlocked(peer, false)) });
  if (peer !== null && !blocked) ending.push({ id: "block", label: `Block ${isolated(title)}…`, icon: <BanIcon />, danger: true, onPick: () => setDialog("block") });
  if (may("leave", channel)) ending.push({ id: "leave", label: "Leave…", icon: <LeaveIcon />, danger: true, onPick: () => setDialog("leave") });

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
      {reports > 0 && <PanelButton name="reports" label={`Reports, ${reports} open`} count={reports} panel={panel} onPanel={onPanel} />}
      <button type="button" className="icon-button roomy" data-testid="search-here" aria-label="Search in this conversation" title="Search in this conversation" onClick={() => setDialog("search")}>
        <SearchIcon />
      </button>
      <PanelButton name="pinned" label="Pinned messages" panel={panel} onPanel={onPanel} />
      <PanelButton name="members" label="Members" panel={panel} onPanel={onPanel} />
      <MenuButton label="Conversation menu" icon={<MoreIcon />} groups={[views, own, ending]} testid="conversation-menu" />
      {dialog === "settings" && <ChannelSettings channel={channel} onClose={close} />}
      {dialog === "hooks" && <HooksDialog channel={channel} onClose={close} />}
      {dialog === "search" && <SearchDialog channel={channel} onClose={close} />}
      {dialog === "block" && peer !== null && <BlockDialog user={peer} title={title} onClose={close} />}
      {dialog === "leave" && <LeaveDialog channel={channel} title={title} onClose={close} />}
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
  const people = channel.members === null ? "" : membersCount(channel.members);
  const note = channel.kind === "direct" ? presenceWords(presence?.status, presence?.lastSeen) : [channel.topic === null || channel.topic === "" ? "" : isolated(channel.topic), people].filter(Boolean).join(" · ");
  return (
    <div className="heading">
      {peer === null ? <ChannelAvatar kind={channel.kind} /> : <PersonAvatar id={peer} name={title} status={presence?.status ?? "offline"} />}
      <div className="heading-text">
        <h2 data-testid="conversation-title">{peer === null ? <bdi>{title}</bdi> : <PersonName user={peer} />}</h2>
        <p className="muted">{note === "" ? "\u00a0" : <Sentence text={note} />}</p>
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
