/** The caller's menu: status, theme, blocked people, sessions, what administrators manage, sign-out. */
import { useState } from "react";

import type { ChosenStatus } from "../../client";
import { useClient, useClientState, useSession } from "../state/client";
import { BanIcon, BotIcon, CheckIcon, FlagIcon, LeaveIcon, LinkIcon, MoonIcon, MoreIcon, RoleIcon, ScrollIcon, SunIcon } from "../ui/icons";
import { lazily } from "../ui/lazily";
import { MenuButton } from "../ui/Menu";
import type { MenuItem } from "../ui/Menu";
import { applyTheme, shownTheme } from "../browser/theme";

const AuditDialog = lazily(() => import("../moderation/AuditDialog").then((module) => module.AuditDialog));
const BotsDialog = lazily(() => import("../integrations/BotsDialog").then((module) => module.BotsDialog));
const WebhooksDialog = lazily(() => import("../integrations/WebhooksDialog").then((module) => module.WebhooksDialog));
const BlockedDialog = lazily(() => import("../people/BlockedDialog").then((module) => module.BlockedDialog));

const SessionsDialog = lazily(() => import("../session/SessionsDialog").then((module) => module.SessionsDialog));
const TenantReportsDialog = lazily(() => import("../moderation/TenantReportsDialog").then((module) => module.TenantReportsDialog));

const statuses: readonly { id: ChosenStatus; label: string }[] = [
  { id: "online", label: "Online" },
  { id: "away", label: "Away" },
  { id: "dnd", label: "Do not disturb" },
];

export function AccountMenu() {
  const client = useClient();
  const status = useClientState((state) => state.status);
  const { kind, signOut } = useSession();
  const admin = useClientState((state) => state.me?.roles.includes("admin") === true);
  const [theme, setTheme] = useState(shownTheme);
  const [dialog, setDialog] = useState<"blocked" | "sessions" | "reports" | "bots" | "webhooks" | "audit" | null>(null);
  const other = theme === "dark" ? "light" : "dark";

  const presence = statuses.map<MenuItem>(({ id, label }) => ({
    id,
    label,
    icon: id === status ? <CheckIcon /> : <span className="icon" />,
    checked: id === status,
    onPick: () => client.setStatus(id),
  }));
  const own: MenuItem[] = [
    {
      id: "theme",
      label: other === "dark" ? "Dark theme" : "Light theme",
      icon: other === "dark" ? <MoonIcon /> : <SunIcon />,
      onPick: () => {
        applyTheme(other);
        setTheme(other);
      },
    },
    { id: "blocked", label: "Blocked people", icon: <BanIcon />, onPick: () => setDialog("blocked") },
  ];
  if (kind === "cookie") own.push({ id: "sessions", label: "Where you're signed in", icon: <RoleIcon />, onPick: () => setDialog("sessions") });
  const workspace: MenuItem[] = admin
    ? [
        { id: "tenant-reports", label: "Reports about moderators", icon: <FlagIcon />, onPick: () => setDialog("reports") },
        { id: "bots", label: "Bots", icon: <BotIcon />, onPick: () => setDialog("bots") },
        { id: "webhooks", label: "Outgoing webhooks", icon: <LinkIcon />, onPick: () => setDialog("webhooks") },
        { id: "audit", label: "Audit log", icon: <ScrollIcon />, onPick: () => setDialog("audit") },
      ]
    : [];
  const leaving: MenuItem[] = signOut === null ? [] : [{ id: "sign-out", label: "Sign out", icon: <LeaveIcon />, onPick: signOut }];

  return (
    <>
      <MenuButton label="Account menu" icon={<MoreIcon />} groups={[presence, own, workspace, leaving]} testid="account-menu" />
      {dialog === "blocked" && <BlockedDialog onClose={() => setDialog(null)} />}
      {dialog === "sessions" && <SessionsDialog onClose={() => setDialog(null)} />}
      {dialog === "reports" && <TenantReportsDialog onClose={() => setDialog(null)} />}
      {dialog === "bots" && <BotsDialog onClose={() => setDialog(null)} />}
      {dialog === "webhooks" && <WebhooksDialog onClose={() => setDialog(null)} />}
      {dialog === "audit" && <AuditDialog onClose={() => setDialog(null)} />}
    </>
  );
}
