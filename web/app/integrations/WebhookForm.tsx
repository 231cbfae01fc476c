/** The form of a new webhook: the server's address, and what is sent there. */
import { useState } from "react";

import type { WebhookSettings } from "../../client/integrations";

/** What is sent: the label and the kinds of events; none for all. */
const choices: readonly { label: string; events: readonly string[] }[] = [
  { label: "Everything that happens", events: [] },
  { label: "New messages", events: ["message.posted"] },
  { label: "Messages, and their changes and deletions", events: ["message.posted", "message.edited", "message.deleted"] },
  { label: "Members who join and leave", events: ["member.joined", "member.left", "member.removed"] },
];

interface Props {
  busy: boolean;
  /** Resolves to whether it was created. */
  onCreate: (settings: WebhookSettings) => Promise<boolean>;
}

export function WebhookForm({ busy, onCreate }: Props) {
  const [url, setUrl] = useState("");
  const [choice, setChoice] = useState(0);
  const given = url.trim();

  async function create() {
    if (await onCreate({ url: given, events: choices[choice]?.events ?? [] })) setUrl("");
  }

  return (
    <form
      className="webhook-form"
      aria-label="New webhook"
      onSubmit={(event) => {
        event.preventDefault();
        if (given !== "") void create();
      }}
    >
      <label className="field">
        <span>New webhook</span>
        <input className="input" type="url" data-testid="webhook-url" value={url} maxLength={2_000} required placeholder="https://" spellCheck={false} onChange={(event) => setUrl(event.target.value)} data-autofocus />
      </label>
      <label className="field">
        <span>It sends</span>
        <select className="input" data-testid="webhook-events" value={choice} onChange={(event) => setChoice(Number(event.target.value))}>
          {choices.map(({ label }, index) => (
            <option key={label} value={index}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <button className="button button-primary" data-testid="webhook-create" disabled={busy || given === ""}>
        Create
      </button>
    </form>
  );
}
