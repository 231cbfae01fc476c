/** The tokens of one bot: the list, a new one, which is shown once, and revoking one. */
import { useCallback, useEffect, useState } from "react";

import type { Bot, BotToken, NewBotToken } from "../../client/bots";
import { useClient } from "../state/client";
import { useAttempt } from "../state/useAttempt";
import { isolated, lineOf } from "../text/isolation";
import { fullTime } from "../text/wording";
import { Dialog } from "../ui/Dialog";
import { Failure } from "../ui/Failure";
import { NameForm } from "./NameForm";
import { Secret } from "./Secret";
import { TokenForm } from "./TokenForm";

interface Props {
  bot: Bot;
  /** Why the bot could not be renamed. */
  failure: string | null;
  onRename: (name: string) => Promise<boolean>;
  onBack: () => void;
  onClose: () => void;
}

export function BotTokens({ bot, failure: refused, onRename, onBack, onClose }: Props) {
  const client = useClient();
  const [tokens, setTokens] = useState<readonly BotToken[] | null>(null);
  const [secret, setSecret] = useState<string | null>(null);
  const [renaming, setRenaming] = useState(false);
  const { busy, failure, attempt } = useAttempt();
  const load = useCallback(async () => setTokens(await client.bots.botTokens(bot.user)), [client, bot.user]);

  useEffect(() => {
    void attempt(load);
  }, [attempt, load]);

  const create = (body: NewBotToken) =>
    attempt(async () => {
      setSecret((await client.bots.createBotToken(bot.user, body)).token);
      await load();
    });

  const revoke = (token: BotToken) =>
    attempt(async () => {
      await client.bots.revokeBotToken(bot.user, token.id);
      await load();
    });

  async function rename(name: string) {
    const renamed = await onRename(name);
    if (renamed) setRenaming(false);
    return renamed;
  }

  return (
    <Dialog title={`Tokens of ${isolated(bot.name)}`} onClose={onClose}>
      <div className="form scrolling">
        <p className="form-note muted">
          To bring the bot into a conversation, add <bdi>{bot.name}</bdi> to its members.
        </p>
        {renaming ? <NameForm label="New name" placeholder={bot.name} action="Rename" busy={busy} testid="rename" onCreate={rename} /> : null}
        {secret !== null && <Secret key={secret} label="The new token" value={secret} />}
        {tokens?.length === 0 && <p className="options-none muted">No tokens yet.</p>}
        <ul className="blocked-list integrations" aria-label="Tokens">
          {tokens?.map((token) => (
            <li key={token.id} className="member" data-testid="token">
              <span className="member-name">
                <bdi>{token.name}</bdi>
                <small className="session-times muted">
                  {token.scopes.join(", ")} · {token.used_on === null ? "never used" : `last used ${token.used_on}`}
                  {token.expires_at !== null && (
                    <>
                      {" · ends "}
                      <time dateTime={token.expires_at} title={fullTime(token.expires_at)}>
                        {token.expires_at.slice(0, 10)}
                      </time>
                    </>
                  )}
                </small>
              </span>
              <button type="button" className="button small" data-testid="token-revoke" aria-label={`Revoke ${lineOf(token.name)}`} disabled={busy} onClick={() => void revoke(token)}>
                Revoke
              </button>
            </li>
          ))}
        </ul>
        <TokenForm busy={busy} onCreate={create} />
        <Failure text={failure ?? refused} />
        <footer className="dialog-foot">
          <button type="button" className="button" data-testid="bot-rename" onClick={() => setRenaming(!renaming)} aria-expanded={renaming}>
            Rename
          </button>
          <button type="button" className="button" data-testid="bots-back" onClick={onBack}>
            All bots
          </button>
        </footer>
      </div>
    </Dialog>
  );
}
