/** Completes the name of a slash command in a field: the list's options, the active one, and its keys. */
import { useId, useState } from "react";
import type { KeyboardEvent } from "react";

import type { SlashCommand } from "../../client/integrations";
import { optionId } from "./CommandList";
import { completions } from "./slash";

/** `onComplete` gets the text with the whole name and a space. */
export function useCompletion(commands: readonly SlashCommand[], text: string, onComplete: (text: string) => void) {
  const id = useId();
  const [active, setActive] = useState(0);
  const [closed, setClosed] = useState(false);
  const offered = closed ? [] : completions(commands, text);
  const at = Math.min(active, offered.length - 1);
  const chosen = offered[at];
  const pick = ({ name }: SlashCommand) => onComplete(`/${name} `);

  /** Whether the key was meant for the list. Enter after a whole name is not: it runs the command. */
  function onKey(event: KeyboardEvent): boolean {
    if (chosen === undefined) return false;
    if (event.key === "ArrowDown") setActive((at + 1) % offered.length);
    else if (event.key === "ArrowUp") setActive((at + offered.length - 1) % offered.length);
    else if (event.key === "Escape") setClosed(true);
    else if ((event.key === "Tab" && !event.shiftKey) || (event.key === "Enter" && text !== `/${chosen.name}`)) pick(chosen);
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  return {
    list: chosen === undefined ? null : { id, commands: offered, active: at, onPick: pick },
    onKey,
    /** The field's attributes. */
    field: chosen === undefined ? {} : ({ "aria-autocomplete": "list", "aria-controls": id, "aria-activedescendant": optionId(id, at) } as const),
    /** The text was changed. */
    reset: () => {
      setActive(0);
      setClosed(false);
    },
  };
}
