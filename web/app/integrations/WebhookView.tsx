/** One outgoing webhook: its state, a new secret, its recent deliveries, and sending what failed again. */
import { useCallback, useEffect, useState } from "react";

import type { Delivery, Webhook } from "../../client/integrations";
import { useClient } from "../state/client";
import { useAttempt } from "../state/useAttempt";
import { lineOf } from "../text/isolation";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { Dialog } from "../ui/Dialog";
import { Failure } from "../ui/Failure";
import { DeliveryItem } from "./DeliveryItem";
import { Secret } from "./Secret";
import { stateWords } from "./webhookWords";

interface Props {
  webhook: Webhook;
  /** Loads the webhooks again. */
  onChanged: () => Promise<unknown>;
  onBack: () => void;
  onClose: () => void;
}

export function WebhookView({ webhook, onChanged, onBack, onClose }: Props) {
  const client = useClient();
  const [deliveries, setDeliveries] = useState<readonly Delivery[] | null>(null);
  const [next, setNext] = useState<string | undefined>();
  const [secret, setSecret] = useState<string | null>(null);
  const [asked, setAsked] = useState<"rotate" | "delete" | null>(null);
  const { busy, failure, attempt } = useAttempt();
  const { id } = webhook;

  const load = useCallback(
    async (cursor?: string) => {
      const page = await client.integrations.deliveries(id, cursor);
      setDeliveries((known) => (cursor === undefined ? page.items : [...(known ?? []), ...page.items]));
      setNext(page.next);
    },
    [client, id],
  );

  useEffect(() => {
    void attempt(() => load());
  }, [attempt, load]);

  const change = (action: () => Promise<unknown>) =>
    void attempt(async () => {
      await action();
      await Promise.all([onChanged(), load()]);
    });

  async function confirmed() {
    if (asked === "delete") {
      await client.integrations.deleteWebhook(id);
      onBack();
    } else setSecret((await client.integrations.rotateSecret(id)).secret);
  }

  const enabled = webhook.state === "active";
  return (
    <Dialog title="Outgoing webhook" onClose={onClose}>
      <div className="form scrolling">
        <p className="webhook-url">
          <bdi>{lineOf(webhook.url)}</bdi>
        </p>
        <p className="form-note muted" role="status" data-testid="webhook-state">
          {stateWords(webhook)}
        </p>
        <span className="integration-actions">
          <button type="button" className="button small" data-testid="webhook-toggle" disabled={busy} onClick={() => change(() => client.integrations.changeWebhook(id, { enabled: !enabled }))}>
            {enabled ? "Disable" : "Enable"}
          </button>
          <button type="button" className="button small" data-testid="webhook-rotate" disabled={busy} onClick={() => setAsked("rotate")}>
            New secret
          </button>
          <button type="button" className="button small" data-testid="webhook-delete" disabled={busy} onClick={() => setAsked("delete")}>
            Delete
          </button>
        </span>
        {secret !== null && <Secret key={secret} label="The new secret" value={secret} />}
        <Failure text={failure} />
        {deliveries?.length === 0 && <p className="options-none muted">Nothing has been sent in the last days.</p>}
        <ul className="blocked-list integrations" aria-label="Deliveries">
          {deliveries?.map((delivery) => (
            <DeliveryItem key={delivery.id} webhook={id} delivery={delivery} busy={busy} onResend={() => change(() => client.integrations.resend(id, delivery.id))} />
          ))}
        </ul>
        {next !== undefined && (
          <button type="button" className="button" disabled={busy} onClick={() => void attempt(() => load(next))}>
            Load more
          </button>
        )}
        <footer className="dialog-foot">
          {webhook.dead > 0 && (
            <button type="button" className="button" data-testid="webhook-resend" disabled={busy} onClick={() => change(() => client.integrations.resend(id))}>
              Send all failed again
            </button>
          )}
          <button type="button" className="button" data-testid="webhook-refresh" disabled={busy} onClick={() => change(() => Promise.resolve())}>
            Refresh
          </button>
          <button type="button" className="button" data-testid="webhooks-back" onClick={onBack}>
            All webhooks
          </button>
        </footer>
      </div>
      {asked !== null && (
        <ConfirmDialog title={asked === "rotate" ? "New secret" : "Delete the webhook"} action={asked === "rotate" ? "Make" : "Delete"} danger={asked === "delete"} run={confirmed} onClose={() => setAsked(null)}>
          {asked === "rotate" ? "For a day, requests are signed with both secrets, so that the server can change over." : "Nothing more is sent, and what waits is lost."}
        </ConfirmDialog>
      )}
    </Dialog>
  );
}
