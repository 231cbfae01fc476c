/** A message that the server has not stored yet: being sent, or refused. */
import type { OutboxItem } from "../../client";
import { PersonAvatar } from "../ui/Avatar";
import { useClient, useClientState } from "../state/client";
import { isJumbo, RichText } from "../text/RichText";
import { isolated, lineOf } from "../text/isolation";
import { Sentence } from "../text/Sentence";
import { refusal } from "../text/wording";

export function PendingRow({ item, headed }: { item: OutboxItem; headed: boolean }) {
  const client = useClient();
  const me = useClientState((state) => state.me);
  const online = useClientState((state) => state.connection.name === "open");
  const name = me?.name ?? me?.user ?? "";
  const slowed = item.state.name === "waiting" && item.state.reason === "SLOW_MODE";
  const failed = item.state.name === "failed" ? item.state : null;

  return (
    <article className={headed ? "message headed" : "message"} data-testid="pending" data-state={item.state.name} data-mine="true">
      {headed ? <PersonAvatar id={me?.user ?? ""} name={name} /> : <span className="message-side" />}
      <div className="message-main">
        {headed && (
          <header className="message-head">
            <strong>
              <bdi>{lineOf(name)}</bdi>
            </strong>
            <span className="message-state">{failed === null ? (online ? "Sending…" : "Waiting for connection") : "Not sent"}</span>
          </header>
        )}
        <p className={`message-text ${failed === null ? "message-pending" : ""} ${isJumbo(item.text) ? "message-jumbo" : ""}`} dir="auto">
          <RichText text={item.text} />
        </p>
        {item.attachments !== undefined && (
          <p className="muted">
            <Sentence text={item.attachments.map((attachment) => isolated(attachment.name)).join(", ")} />
          </p>
        )}
        {slowed && <p className="message-state">Slow mode is on. The message will be sent when it allows.</p>}
        {failed !== null && (
          <p className="message-failure" role="alert">
            {failed.reason === "NOT_ALLOWED" ? "You can't post here right now." : refusal(failed)}
            <button type="button" className="link-button" data-testid="retry" onClick={() => client.retry(item.key)}>
              Retry
            </button>
            <button type="button" className="link-button" data-testid="discard" onClick={() => client.discard(item.key)}>
              Discard
            </button>
          </p>
        )}
      </div>
    </article>
  );
}
