/** Owns a small, fixed choice of emoji in a popover; arrow keys move, Escape closes. */
import { useEffect, useRef } from "react";
import type { KeyboardEvent } from "react";

const columns = 8;
const emoji = "👍 ❤️ 😂 🎉 🙌 👀 🔥 ✅ 😀 😍 🤔 😮 😢 😡 🙏 👏 💯 🚀 ⭐ 💡 ☕ 🍕 🥳 🤝 👋 💪 🤷 🙈 ➕ ❌ ❓ ⏳".split(" ");

interface Props {
  onPick: (emoji: string) => void;
  onClose: () => void;
}

export function EmojiPicker({ onPick, onClose }: Props) {
  const box = useRef<HTMLDivElement>(null);

  useEffect(() => {
    const element = box.current;
    element?.querySelector("button")?.focus();
    const onOutside = (event: PointerEvent) => {
      if (event.target instanceof Node && element?.contains(event.target) === false) onClose();
    };
    document.addEventListener("pointerdown", onOutside);
    return () => document.removeEventListener("pointerdown", onOutside);
  }, [onClose]);

  function onKeyDown(event: KeyboardEvent) {
    const steps: Partial<Record<string, number>> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    const step = steps[event.key];
    if (event.key === "Escape") {
      event.stopPropagation();
      onClose();
    } else if (step !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      const buttons = [...(box.current?.querySelectorAll("button") ?? [])];
      const at = buttons.findIndex((button) => button === document.activeElement);
      buttons[at + step]?.focus();
    }
  }

  return (
    <div className="popover emoji-picker" ref={box} role="dialog" aria-label="Choose an emoji" data-testid="emoji-picker" onKeyDown={onKeyDown}>
      {emoji.map((one) => (
        <button key={one} type="button" data-emoji={one} onClick={() => onPick(one)}>
          {one}
        </button>
      ))}
    </div>
  );
}
