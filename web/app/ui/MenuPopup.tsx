/** An open menu beside its button, or at the bottom of a narrow screen. Ariakit provides keyboard, focus and roles. */
import { Menu, MenuGroup, MenuItem, useMenuStore } from "@ariakit/react";
import { useLayoutEffect, useState } from "react";
import type { ReactNode, RefObject } from "react";

export interface MenuItem {
  id: string;
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

interface Props {
  label: string;
  groups: MenuGroups;
  anchor: RefObject<HTMLElement | null>;
  onClose: () => void;
}

export function MenuPopup({ label, groups, anchor, onClose }: Props) {
  const [narrow] = useState(() => window.matchMedia("(max-width: 759px)").matches);
  const menu = useMenuStore({ open: true, setOpen: (open) => !open && onClose(), placement: "bottom-end" });
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
      modal={narrow}
      backdrop={narrow && <div className="veil" />}
      gutter={6}
      overflowPadding={8}
      // A narrow screen shows the menu at its bottom edge, which the style sheet places.
      {...(narrow && { updatePosition: () => undefined })}
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
              {item.label}
            </MenuItem>
          ))}
        </MenuGroup>
      ))}
    </Menu>
  );
}
