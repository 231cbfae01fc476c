/** Owns the caller's own menu: colours, whom they have blocked, the audit log for administrators, signing out. */
import { useState } from "react";

import { AuditDialog } from "./AuditDialog";
import { BlockedDialog } from "./BlockedDialog";
import { useClientState, useSession } from "./hooks";
import { BanIcon, LeaveIcon, MoonIcon, MoreIcon, ScrollIcon, SunIcon } from "./icons";
import { MenuButton } from "./Menu";
import type { MenuItem } from "./Menu";
import { applyTheme, shownTheme } from "./theme";

export function AccountMenu() {
  const { signOut } = useSession();
  const admin = useClientState((state) => state.me?.roles.includes("admin") === true);
  const [shown, setShown] = useState(shownTheme);
  const [open, setOpen] = useState<"blocked" | "audit" | null>(null);
  const other = shown === "dark" ? "light" : "dark";

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
      <MenuButton label="Your menu" icon={<MoreIcon />} groups={[own, workspace, away]} testid="account-menu" />
      {open === "blocked" && <BlockedDialog onClose={() => setOpen(null)} />}
      {open === "audit" && <AuditDialog onClose={() => setOpen(null)} />}
    </>
  );
}
