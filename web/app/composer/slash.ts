/** What a text that begins with a slash means. */
import type { SlashCommand } from "../../client/integrations";

export type Meaning = { is: "message"; text: string } | { is: "command"; name: string; text: string };

/** A trimmed text: "/name text" runs a command, "//text" is the message "/text". */
export function meaningOf(text: string): Meaning {
  if (text.startsWith("//")) return { is: "message", text: text.slice(1) };
  if (!text.startsWith("/")) return { is: "message", text };
  const [, name = "", rest = ""] = /^\/(\S*)\s*([^]*)$/u.exec(text) ?? [];
  return { is: "command", name, text: rest };
}

/** The commands that the name typed so far can become; none once the name has ended. */
export function completions(commands: readonly SlashCommand[], text: string): readonly SlashCommand[] {
  const typed = /^\/([^\s/]*)$/u.exec(text)?.[1];
  return typed === undefined ? [] : commands.filter(({ name }) => name.startsWith(typed.toLowerCase()));
}
