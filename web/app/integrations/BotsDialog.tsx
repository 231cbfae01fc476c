/** The bots of the workspace, for administrators: create, rename and disable them, and open their tokens. */
import { useCallback, useEffect, useState } from "react";

import type { Bot } from "../../client/bots";
import { useClient, useClientState } from "../state/client";
import { useAttempt } from "../state/useAttempt";
import { lineOf } from "../text/isolation";
import { channelTitle } from "../text/wording";
import { Dialog } from "../ui/Dialog";
import { Failure } from "../ui/Failure";
import { BotTokens } from "./BotTokens";
import { NameForm } from "./NameForm";

export function BotsDialog({ onClose }: { onClose: () => void }) {
  const client = useClient();
  const [bots, setBots] = useState<readonly Bot[] | null>(null);
  const [next, setNext] = useState<string | undefined>();
  const [shown, setShown] = useState<Bot | null>(null);
  const { busy, failure, attempt } = useAttempt();

  const load = useCallback(
    async (cursor?: string) => {
      const page = await client.bots.bots(cursor);
      setBots((known) => (cursor === undefined ? page.items : [...(known ?? []), ...page.items]));
      setNext(page.next);
    },
    [client],
  );

  useEffect(() => {
    void attempt(() => load());
  }, [attempt, load]);

  const change = (bot: Bot, body: { name?: string; disabled?: boolean }) =>
    attempt(async () => {
      const changed = await client.bots.changeBot(bot.user, body);
      setBots((known) => known?.map((each) => (each.user === bot.user ? changed : each)) ?? null);
      setShown((open) => (open?.user === bot.user ? changed : open));
    });

  const create = (name: string) =>
    attempt(async () => {
      const made = await client.bots.createBot(name);
      setBots((known) => [made, ...(known ?? [])]);
      setShown(made);
    });

  if (shown !== null) return <BotTokens bot={shown} onRename={(name) => change(shown, { name })} failure={failure} onBack={() => setShown(null)} onClose={onClose} />;
  return (
    <Dialog title="Bots" onClose={onClose}>
      <div className="form scrolling">
        <p className="form-note muted">Bots are programs that take part in conversations. Give one a token, and add it to a conversation like a person.</p>
        <NameForm label="New bot" placeholder="Name" action="Create" busy={busy} testid="bot" onCreate={create} />
        <Failure text={failure} />
        {bots?.length === 0 && <p className="options-none muted">No bots yet.</p>}
        <ul className="blocked-list integrations" aria-label="Bots">
          {bots?.map((bot) => (
            <BotItem key={bot.user} bot={bot} busy={busy} onOpen={() => setShown(bot)} onToggle={() => void change(bot, { disabled: !bot.disabled })} />
          ))}
        </ul>
        {next !== undefined && (
          <button type="button" className="button" disabled={busy} onClick={() => void attempt(() => load(next))}>
            Load more
          </button>
        )}
      </div>
    </Dialog>
  );
}

interface ItemProps {
  bot: Bot;
  busy: boolean;
  onOpen: () => void;
  onToggle: () => void;
}

function BotItem({ bot, busy, onOpen, onToggle }: ItemProps) {
  const where = useClientState((state) => {
    const channel = bot.channel === null ? undefined : state.channels.get(bot.channel);
    return channel === undefined ? null : channelTitle(state, channel);
  });
  return (
    <li className="member" data-testid="bot">
      <span className="member-name">
        <bdi>{bot.name}</bdi>
        {bot.disabled && <span className="muted"> disabled</span>}
        {bot.channel !== null && <small className="session-times muted">Incoming webhook{where !== null && <> of <bdi>{where}</bdi></>}</small>}
      </span>
      <span className="integration-actions">
        {bot.channel === null && (
          <button type="button" className="button small" data-testid="bot-open" aria-label={`Tokens of ${lineOf(bot.name)}`} onClick={onOpen}>
            Tokens
          </button>
        )}
        <button type="button" className="button small" data-testid="bot-toggle" aria-label={`${bot.disabled ? "Enable" : "Disable"} ${lineOf(bot.name)}`} disabled={busy} onClick={onToggle}>
          {bot.disabled ? "Enable" : "Disable"}
        </button>
      </span>
    </li>
  );
}
