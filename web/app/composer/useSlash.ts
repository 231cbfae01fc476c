/** Runs the slash command in a composer, and keeps what only the caller sees of it. */
import { useCallback, useRef, useState } from "react";

import type { SlashCommand } from "../../client/integrations";
import { newKey } from "../../client";
import { useClient } from "../state/client";
import { useAttempt } from "../state/useAttempt";
import { useRequest } from "../state/useRequest";
import { botRefusal, refusal } from "../text/wording";

const none: readonly SlashCommand[] = [];

/** What the caller alone sees: the answer to a command. */
export interface Note {
  command: string;
  /** Empty if the answer comes later, or is a message. */
  text: string;
}

/** `wanted`: the text begins like a command, so the commands are loaded. */
export function useSlash(channel: string, wanted: boolean) {
  const client = useClient();
  const load = useCallback(() => client.integrations.commands(), [client]);
  const [everWanted, setEverWanted] = useState(wanted);
  if (wanted && !everWanted) setEverWanted(true);
  const { answer: commands, problem } = useRequest(everWanted ? load : null);
  const [note, setNote] = useState<Note | null>(null);
  const [mistake, setMistake] = useState<string | null>(null);
  const { busy, failure, attempt } = useAttempt(botRefusal);
  /** Of a run that failed: its repeat has the same key. */
  const failed = useRef<{ run: string; key: string } | null>(null);

  /** Resolves to whether the command was run. */
  async function run(name: string, text: string): Promise<boolean> {
    setNote(null);
    if (commands === null) return refuse(problem === null ? "The commands are being loaded. Try again in a moment." : refusal(problem));
    if (!commands.some((command) => command.name === name)) return refuse(`There is no command /${name}. To post this as a message, begin with //.`);
    setMistake(null);
    const key = failed.current?.run === `${name} ${text}` ? failed.current.key : newKey();
    const done = await attempt(async () => {
      const answer = await client.integrations.runCommand(channel, { command: name, text, key });
      if (answer.visibility === "caller" || answer.visibility === "later") setNote({ command: name, text: answer.text ?? "" });
    });
    failed.current = done ? null : { run: `${name} ${text}`, key };
    return done;
  }

  function refuse(words: string): false {
    setMistake(words);
    return false;
  }

  return {
    commands: commands ?? none,
    busy,
    failure: mistake ?? failure,
    note,
    run,
    refuse,
    /** The text was changed: what was wrong with it is no longer shown. */
    forget: useCallback(() => setMistake(null), []),
    dismiss: useCallback(() => setNote(null), []),
  };
}
