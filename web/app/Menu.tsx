/** Owns a menu beside the button that opens it, in the browser's top layer: arrow keys move, Escape closes, focus goes back. On a phone it rises from below. */
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import type { KeyboardEvent, ReactNode } from "react";

export interface MenuItem {
  id: string;
  label: string;
  icon: ReactNode;
  danger?: boolean;
  /** Of several, the one that holds now; absent where it is no choice. */
  checked?: boolean;
  /** Only where there is little room: elsewhere a button stands for it. */
  narrow?: boolean;
  onPick: () => void;
}

const gapPx = 6;
const edgePx = 8;

interface ButtonProps {
  /** What the button opens, for whoever does not see it. */
  label: string;
  icon: ReactNode;
  /** Groups of items; a line stands between two. */
  groups: readonly (readonly MenuItem[])[];
  testid: string;
  className?: string;
  onOpen?: (open: boolean) => void;
}

/** Shows nothing where there is nothing to choose. */
export function MenuButton({ label, icon, groups, testid, className = "icon-button", onOpen }: ButtonProps) {
  const button = useRef<HTMLButtonElement>(null);
  const [open, setOpen] = useState(false);
  const filled = groups.filter((group) => group.length > 0);
  if (filled.length === 0) return null;

  function show(now: boolean) {
    setOpen(now);
    onOpen?.(now);
  }

  return (
    <>
      <button ref={button} type="button" className={className} data-testid={testid} aria-label={label} title={label} aria-haspopup="menu" aria-expanded={open} onClick={() => show(!open)}>
        {icon}
      </button>
      {open && <Menu label={label} groups={filled} anchor={button.current} onClose={() => show(false)} />}
    </>
  );
}

interface MenuProps {
  label: string;
  groups: readonly (readonly MenuItem[])[];
  anchor: HTMLElement | null;
  onClose: () => void;
}

function Menu({ label, groups, anchor, onClose }: MenuProps) {
  const box = useRef<HTMLDivElement>(null);
  const close = useRef(onClose);
  useLayoutEffect(() => {
    close.current = onClose;
  });

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null || anchor === null) return;
    element.showPopover();
    const at = anchor.getBoundingClientRect();
    const { width, height } = element.getBoundingClientRect();
    const below = at.bottom + gapPx + height <= window.innerHeight - edgePx;
    element.style.top = `${below ? at.bottom + gapPx : Math.max(edgePx, at.top - gapPx - height)}px`;
    element.style.left = `${Math.max(edgePx, Math.min(at.right - width, window.innerWidth - width - edgePx))}px`;
    items(element)[0]?.focus({ preventScroll: true });
  }, [anchor]);

  useEffect(() => {
    const onOutside = ({ target }: Event) => {
      if (target instanceof Node && (box.current?.contains(target) === true || anchor?.contains(target) === true)) return;
      close.current();
    };
    document.addEventListener("pointerdown", onOutside);
    document.addEventListener("scroll", onOutside, true);
    return () => {
      document.removeEventListener("pointerdown", onOutside);
      document.removeEventListener("scroll", onOutside, true);
    };
  }, [anchor]);

  function leave() {
    onClose();
    anchor?.focus({ preventScroll: true });
  }

  function onKeyDown(event: KeyboardEvent<HTMLElement>) {
    const all = items(event.currentTarget);
    const at = all.findIndex((item) => item === document.activeElement);
    const to: Partial<Record<string, number>> = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: all.length - 1 };
    const next = to[event.key];
    if (event.key === "Escape" || event.key === "Tab") {
      leave();
    } else if (next !== undefined) {
      all[next % all.length]?.focus();
    } else {
      event.stopPropagation();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  return (
    <div ref={box} className="menu" role="menu" aria-label={label} popover="manual" onKeyDown={onKeyDown}>
      {groups.map((group, index) => (
        <div key={group[0]?.id ?? index} className={group.every((item) => item.narrow === true) ? "menu-group narrow" : "menu-group"} role="group">
          {group.map((item) => (
            <button
              key={item.id}
              type="button"
              role={item.checked === undefined ? "menuitem" : "menuitemradio"}
              aria-checked={item.checked}
              tabIndex={-1}
              className={item.danger === true ? "menu-item menu-danger" : "menu-item"}
              data-testid={`menu-${item.id}`}
              onClick={() => {
                leave();
                item.onPick();
              }}
            >
              {item.icon}
              {item.label}
            </button>
          ))}
        </div>
      ))}
    </div>
  );
}

function items(box: HTMLElement): HTMLElement[] {
  return [...box.querySelectorAll<HTMLElement>(`[role^="menuitem"]`)].filter((item) => item.checkVisibility());
}
