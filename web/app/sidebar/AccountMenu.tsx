/** The caller's menu: status, theme, blocked people, the audit log for administrators, sign-out. */
import { useState } from "react";

import type { ChosenStatus } from "../../client";
import { useClient, useClientState, useSession } from "../state/client";
import { BanIcon, CheckIcon, LeaveIcon, MoonIcon, MoreIcon, ScrollIcon, SunIcon } from "../ui/icons";
import { lazily } from "../ui/lazily";
import { MenuButton } from "../ui/Menu";
import type { MenuItem } from "../ui/Menu";
import { applyTheme, shownTheme } from "../browser/theme";

const AuditDialog = lazily(() => import("../moderation/AuditDialog").then((module) => module.AuditDialog));
const BlockedDialog = lazily(() => import("../people/BlockedDialog").then((module) => module.BlockedDialog));

const statuses: readonly { id: ChosenStatus; label: string }[] = [
  { id: "online", label: "Online" },
  { id: "away", label: "Away" },
  { id: "dnd", label: "Do not disturb" },
];

export function AccountMenu() {
  const client = useClient();
  const status = useClientState((state) => state.status);
  const { signOut } = useSession();
  const admin = useClientState((state) => state.me?.roles.includes("admin") === true);
  const [theme, setTheme] = useState(shownTheme);
  const [dialog, setDialog] = useState<"blocked" | "audit" | null>(null);
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
  const workspace: MenuItem[] = admin ? [{ id: "audit", label: "Audit log", icon: <ScrollIcon />, onPick: () => setDialog("audit") }] : [];
  const leaving: MenuItem[] = signOut === null ? [] : [{ id: "sign-out", label: "Sign out", icon: <LeaveIcon />, onPick: signOut }];

  return (
    <>
      <MenuButton label="Account menu" icon={<MoreIcon />} groups={[presence, own, workspace, leaving]} testid="account-menu" />
      {dialog === "blocked" && <BlockedDialog onClose={() => setDialog(null)} />}
      {dialog === "audit" && <AuditDialog onClose={() => setDialog(null)} />}
    </>
  );
}
