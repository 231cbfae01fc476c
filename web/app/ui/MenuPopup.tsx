/** An open menu beside its button, or at the bottom of a narrow screen. Ariakit provides keyboard, focus and roles. */
import { Menu, MenuGroup, MenuItem, useMenuStore } from "@ariakit/react";
import { useLayoutEffect, useState } from "react";
import type { ReactNode, RefObject } from "react";

import { Sentence } from "../text/Sentence";

export interface MenuItem {
  id: string;
  /** May contain marked names (`isolated`). */
  label: string;
  icon: ReactNode;
  danger?: boolean;
  /** For items that exclude each other: whether this one is chosen. */
  checked?: boolean;
  /** Shown only on narrow screens, where the item's button is hidden. */
  narrow?: boolean;
  onPick: () => void;
}

/** Groups of items, separated by lines. */
export type MenuGroups = readonly (readonly MenuItem[])[];

/** On a narrow screen the menu is modal, and the style sheet places it at the bottom edge. */
const sheet = { modal: true, backdrop: <div className="veil" />, wrapperProps: { className: "menu-sheet" }, updatePosition: () => undefined };

interface Props {
  label: string;
  groups: MenuGroups;
  anchor: RefObject<HTMLElement | null>;
  onClose: () => void;
}

export function MenuPopup({ label, groups, anchor, onClose }: Props) {
  const [narrow] = useState(() => window.matchMedia("(max-width: 759px)").matches);
  const menu = useMenuStore({ open: true, setOpen: (open) => !open && onClose(), placement: "bottom-end", focusLoop: true });
  useLayoutEffect(() => {
    menu.setAnchorElement(anchor.current);
    menu.setDisclosureElement(anchor.current);
    menu.setInitialFocus("first");
    menu.setAutoFocusOnShow(true);
  }, [menu, anchor]);
  const shown = groups.map((group) => group.filter((item) => narrow || item.narrow !== true)).filter((group) => group.length > 0);

  return (
    <Menu
      store={menu}
      className="menu"
      aria-label={label}
      portal
      preserveTabOrder={false}
      gutter={6}
      overflowPadding={8}
      onKeyDown={(event) => {
        if (event.key !== "Tab") return;
        event.preventDefault();
        onClose();
      }}
      {...(narrow && sheet)}
    >
      {shown.map((group) => (
        <MenuGroup key={group[0]?.id} className="menu-group">
          {group.map((item) => (
            <MenuItem
              key={item.id}
              {...(item.checked !== undefined && { role: "menuitemradio", "aria-checked": item.checked })}
              className={item.danger === true ? "menu-item menu-danger" : "menu-item"}
              data-testid={`menu-${item.id}`}
              onClick={() => {
                // A dialog that the item opens returns the focus to the button, because the item will be gone.
                anchor.current?.focus({ preventScroll: true });
                item.onPick();
              }}
            >
              {item.icon}
              <span>
                <Sentence text={item.label} />
              </span>
            </MenuItem>
          ))}
        </MenuGroup>
      ))}
    </Menu>
  );
}
