/** One delivery of a webhook: what it was, how it ended, the beginning of the server's answer on demand, and sending it again. */
import { useState } from "react";

import type { Delivery } from "../../client/integrations";
import { useClient } from "../state/client";
import { useAttempt } from "../state/useAttempt";
import { fullTime, shortTime } from "../text/wording";
import { deliveryWords } from "./webhookWords";

interface Props {
  webhook: string;
  delivery: Delivery;
  busy: boolean;
  onResend: () => void;
}

export function DeliveryItem({ webhook, delivery, busy, onResend }: Props) {
  const client = useClient();
  const [answer, setAnswer] = useState<string | null>(null);
  const { busy: loading, failure, attempt } = useAttempt();
  const what = `${delivery.event}, number ${delivery.seq}`;

  const toggle = () => {
    if (answer !== null) setAnswer(null);
    else void attempt(async () => setAnswer((await client.integrations.delivery(webhook, delivery.id)).answer));
  };

  return (
    <li className="member" data-testid="delivery">
      <span className="member-name">
        {delivery.event}{" "}
        <time className="muted" dateTime={delivery.created_at} title={fullTime(delivery.created_at)}>
          {shortTime(delivery.created_at)}
        </time>
        <small className="session-times muted">{deliveryWords(delivery)}</small>
      </span>
      <span className="integration-actions">
        {delivery.status > 0 && (
          <button type="button" className="button small" data-testid="delivery-answer" aria-expanded={answer !== null} aria-label={`Answer to ${what}`} disabled={loading} onClick={toggle}>
            Answer
          </button>
        )}
        {delivery.state === "dead" && (
          <button type="button" className="button small" data-testid="delivery-resend" aria-label={`Send ${what} again`} disabled={busy} onClick={onResend}>
            Send again
          </button>
        )}
      </span>
      {(answer ?? failure) !== null && (
        <pre className="delivery-answer" data-testid="delivery-text" tabIndex={0} aria-label={`Answer to ${what}`}>
          {failure ?? (answer === "" ? "The answer was empty." : answer)}
        </pre>
      )}
    </li>
  );
}
