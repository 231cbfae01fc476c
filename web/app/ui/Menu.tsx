/** A button that opens a menu. The menu's code is loaded on first use. */
import { useRef, useState } from "react";
import type { ReactNode } from "react";

import { lazily } from "./lazily";
import type { MenuGroups } from "./MenuPopup";

const MenuPopup = lazily(() => import("./MenuPopup").then((module) => module.MenuPopup));

export type { MenuItem } from "./MenuPopup";

interface Props {
  /** The accessible name of the button and of the menu. */
  label: string;
  icon: ReactNode;
  groups: MenuGroups;
  testid: string;
  className?: string;
  onOpen?: (open: boolean) => void;
}

/** Renders nothing when there are no items. */
export function MenuButton({ label, icon, groups, testid, className = "icon-button", onOpen }: Props) {
  const button = useRef<HTMLButtonElement>(null);
  const [open, setOpen] = useState(false);
  if (groups.every((group) => group.length === 0)) return null;

  function show(shown: boolean) {
    setOpen(shown);
    onOpen?.(shown);
  }

  return (
    <>
      <button ref={button} type="button" className={className} data-testid={testid} aria-label={label} title={label} aria-haspopup="menu" aria-expanded={open} onClick={() => show(!open)}>
        {icon}
      </button>
      {open && <MenuPopup label={label} groups={groups} anchor={button} onClose={() => show(false)} />}
    </>
  );
}
