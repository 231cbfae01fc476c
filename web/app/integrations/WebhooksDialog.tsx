/** The outgoing webhooks of the workspace, for administrators: create one, whose secret is shown once, and open one. */
import { useCallback, useEffect, useState } from "react";

import type { Webhook, WebhookSettings } from "../../client/integrations";
import { useClient } from "../state/client";
import { useAttempt } from "../state/useAttempt";
import { lineOf } from "../text/isolation";
import { Dialog } from "../ui/Dialog";
import { Failure } from "../ui/Failure";
import { Secret } from "./Secret";
import { WebhookForm } from "./WebhookForm";
import { WebhookView } from "./WebhookView";
import { stateWords } from "./webhookWords";

export function WebhooksDialog({ onClose }: { onClose: () => void }) {
  const client = useClient();
  const [webhooks, setWebhooks] = useState<readonly Webhook[] | null>(null);
  const [shown, setShown] = useState<string | null>(null);
  const [secret, setSecret] = useState<string | null>(null);
  const { busy, failure, attempt } = useAttempt();
  const load = useCallback(async () => setWebhooks(await client.integrations.webhooks()), [client]);

  useEffect(() => {
    void attempt(load);
  }, [attempt, load]);

  const create = (settings: WebhookSettings) =>
    attempt(async () => {
      setSecret((await client.integrations.createWebhook(settings)).secret);
      await load();
    });

  function back() {
    setShown(null);
    setSecret(null);
    void attempt(load);
  }

  const open = webhooks?.find(({ id }) => id === shown);
  if (open !== undefined) return <WebhookView webhook={open} onChanged={load} onBack={back} onClose={onClose} />;
  return (
    <Dialog title="Outgoing webhooks" onClose={onClose}>
      <div className="form scrolling">
        <p className="form-note muted">A webhook sends what happens in this workspace to a server, as signed requests.</p>
        <WebhookForm busy={busy} onCreate={create} />
        {secret !== null && <Secret key={secret} label="The secret, with which the server checks requests" value={secret} />}
        <Failure text={failure} />
        {webhooks?.length === 0 && <p className="options-none muted">No webhooks yet.</p>}
        <ul className="blocked-list integrations" aria-label="Webhooks">
          {webhooks?.map((webhook) => (
            <li key={webhook.id} className="member" data-testid="webhook">
              <span className="member-name">
                <bdi className="webhook-url">{lineOf(webhook.url)}</bdi>
                <small className="session-times muted">{stateWords(webhook)}</small>
              </span>
              <button type="button" className="button small" data-testid="webhook-open" aria-label={`Open ${lineOf(webhook.url)}`} onClick={() => setShown(webhook.id)}>
                Open
              </button>
            </li>
          ))}
        </ul>
      </div>
    </Dialog>
  );
}
