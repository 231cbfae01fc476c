/** Owns the caller's own menu: how present they are, colours, whom they have blocked, the audit log for administrators, signing out. */
import { useState } from "react";

import type { ChosenStatus } from "../client";
import { AuditDialog } from "./AuditDialog";
import { BlockedDialog } from "./BlockedDialog";
import { useClient, useClientState, useSession } from "./hooks";
import { BanIcon, CheckIcon, LeaveIcon, MoonIcon, MoreIcon, ScrollIcon, SunIcon } from "./icons";
import { MenuButton } from "./Menu";
import type { MenuItem } from "./Menu";
import { applyTheme, shownTheme } from "./theme";

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
  const [shown, setShown] = useState(shownTheme);
  const [open, setOpen] = useState<"blocked" | "audit" | null>(null);
  const other = shown === "dark" ? "light" : "dark";

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
      label: other === "dark" ? "Dark colours" : "Light colours",
      icon: other === "dark" ? <MoonIcon /> : <SunIcon />,
      onPick: () => {
        applyTheme(other);
        setShown(other);
      },
    },
    { id: "blocked", label: "Blocked people", icon: <BanIcon />, onPick: () => setOpen("blocked") },
  ];
  const workspace: MenuItem[] = admin ? [{ id: "audit", label: "Audit log", icon: <ScrollIcon />, onPick: () => setOpen("audit") }] : [];
  const away: MenuItem[] = signOut === null ? [] : [{ id: "sign-out", label: "Sign out", icon: <LeaveIcon />, onPick: signOut }];

  return (
    <>
      <MenuButton label="Your menu" icon={<MoreIcon />} groups={[presence, own, workspace, away]} testid="account-menu" />
      {open === "blocked" && <BlockedDialog onClose={() => setOpen(null)} />}
      {open === "audit" && <AuditDialog onClose={() => setOpen(null)} />}
    </>
  );
}
