/** The incoming webhooks of a channel, for its owners: create one, whose address is shown once, give one a new address, remove one. */
import { useCallback, useEffect, useState } from "react";

import type { Channel } from "../../client";
import type { Hook } from "../../client/bots";
import { useClient } from "../state/client";
import { useAttempt } from "../state/useAttempt";
import { isolated, lineOf } from "../text/isolation";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { Dialog } from "../ui/Dialog";
import { Failure } from "../ui/Failure";
import { NameForm } from "./NameForm";
import { Secret } from "./Secret";

interface Props {
  channel: Channel;
  onClose: () => void;
}

/** An action that needs a confirmation, because programs that use the address stop working. */
interface Asked {
  hook: Hook;
  action: "rotate" | "remove";
}

export function HooksDialog({ channel, onClose }: Props) {
  const client = useClient();
  const [hooks, setHooks] = useState<readonly Hook[] | null>(null);
  const [path, setPath] = useState<string | null>(null);
  const [asked, setAsked] = useState<Asked | null>(null);
  const { busy, failure, attempt } = useAttempt();
  const load = useCallback(async () => setHooks(await client.bots.hooks(channel.id)), [client, channel.id]);

  useEffect(() => {
    void attempt(load);
  }, [attempt, load]);

  const create = (name: string) =>
    attempt(async () => {
      setPath((await client.bots.createHook(channel.id, name)).path);
      await load();
    });

  async function confirmed({ hook, action }: Asked) {
    if (action === "rotate") setPath((await client.bots.rotateHook(channel.id, hook.id)).path);
    else {
      await client.bots.removeHook(channel.id, hook.id);
      setPath(null);
    }
    await load();
  }

  return (
    <Dialog title="Incoming webhooks" onClose={onClose}>
      <div className="form scrolling">
        <p className="form-note muted">A webhook is an address to which a program posts messages for this conversation. Everyone who has the address can post.</p>
        <NameForm label="New webhook" placeholder="Name" action="Create" busy={busy} testid="hook" onCreate={create} />
        {path !== null && <Secret key={path} label="The address" value={`${window.location.origin}${path}`} />}
        <Failure text={failure} />
        {hooks?.length === 0 && <p className="options-none muted">No webhooks yet.</p>}
        <ul className="blocked-list integrations" aria-label="Webhooks">
          {hooks?.map((hook) => (
            <li key={hook.id} className="member" data-testid="hook">
              <span className="member-name">
                <bdi>{hook.name}</bdi>
                {hook.disabled && <span className="muted"> disabled by an administrator</span>}
                <small className="session-times muted">{hook.used_on === null ? "Never used" : `Last used ${hook.used_on}`}</small>
              </span>
              <span className="integration-actions">
                <button type="button" className="button small" data-testid="hook-rotate" aria-label={`New address for ${lineOf(hook.name)}`} disabled={busy} onClick={() => setAsked({ hook, action: "rotate" })}>
                  New address
                </button>
                <button type="button" className="button small" data-testid="hook-remove" aria-label={`Remove ${lineOf(hook.name)}`} disabled={busy} onClick={() => setAsked({ hook, action: "remove" })}>
                  Remove
                </button>
              </span>
            </li>
          ))}
        </ul>
      </div>
      {asked !== null && (
        <ConfirmDialog
          title={asked.action === "rotate" ? `New address for ${isolated(asked.hook.name)}` : `Remove ${isolated(asked.hook.name)}`}
          action={asked.action === "rotate" ? "Change" : "Remove"}
          danger
          run={() => confirmed(asked)}
          onClose={() => setAsked(null)}
        >
          Programs that use the present address can no longer post.
          {asked.action === "remove" && " The webhook leaves the conversation, and its messages stay."}
        </ConfirmDialog>
      )}
    </Dialog>
  );
}
