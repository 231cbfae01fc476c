/** A popover with a fixed set of emoji. Ariakit provides keyboard, focus and roles. */
import { Composite, CompositeItem, CompositeProvider, CompositeRow, Popover, usePopoverStore } from "@ariakit/react";
import { useLayoutEffect } from "react";
import type { RefObject } from "react";

const rows = ["👍 ❤️ 😂 🎉 🙌 👀 🔥 ✅", "😀 😍 🤔 😮 😢 😡 🙏 👏", "💯 🚀 ⭐ 💡 ☕ 🍕 🥳 🤝", "👋 💪 🤷 🙈 ➕ ❌ ❓ ⏳"].map((row) => row.split(" "));

interface Props {
  anchor: RefObject<HTMLElement | null>;
  onPick: (emoji: string) => void;
  onClose: () => void;
}

export function EmojiPicker({ anchor, onPick, onClose }: Props) {
  const popover = usePopoverStore({ open: true, setOpen: (open) => !open && onClose(), placement: "bottom-end" });
  useLayoutEffect(() => {
    popover.setAnchorElement(anchor.current);
    popover.setDisclosureElement(anchor.current);
  }, [popover, anchor]);

  return (
    <Popover store={popover} className="popover" aria-label="Choose an emoji" data-testid="emoji-picker" portal gutter={6} overflowPadding={8}>
      <CompositeProvider>
        <Composite role="grid" aria-label="Emoji" className="emoji-grid">
          {rows.map((row) => (
            <CompositeRow key={row[0]} role="row" className="emoji-row">
              {row.map((emoji) => (
                <CompositeItem key={emoji} role="gridcell" data-emoji={emoji} onClick={() => onPick(emoji)}>
                  {emoji}
                </CompositeItem>
              ))}
            </CompositeRow>
          ))}
        </Composite>
      </CompositeProvider>
    </Popover>
  );
}
