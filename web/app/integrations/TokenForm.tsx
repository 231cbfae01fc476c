/** The form of a new token: its name, what it permits, and when it ends. */
import { useState } from "react";

import { botScopes } from "../../client/bots";
import type { BotScope, NewBotToken } from "../../client/bots";

const scopeWords: Readonly<Record<BotScope, string>> = {
  read: "Read messages and members, and stay connected",
  write: "Write, edit and delete messages",
  react: "React to messages",
  upload: "Upload files",
  manage: "Create, change and join conversations, add and remove members, pin",
  moderate: "Ban, silence, and handle reports",
};

const day = 86_400;
/** In days; null for no end. */
const spans: readonly (number | null)[] = [30, 90, 365, null];

interface Props {
  busy: boolean;
  /** Resolves to whether it was created. */
  onCreate: (token: NewBotToken) => Promise<boolean>;
}

export function TokenForm({ busy, onCreate }: Props) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<ReadonlySet<BotScope>>(new Set(["read", "write"]));
  const [span, setSpan] = useState(1);
  const given = name.trim();
  const ready = given !== "" && scopes.size > 0;

  async function create() {
    const days = spans[span] ?? null;
    const wanted = { name: given, scopes: botScopes.filter((scope) => scopes.has(scope)), ...(days === null ? {} : { seconds: days * day }) };
    if (await onCreate(wanted)) setName("");
  }

  function toggle(scope: BotScope) {
    const changed = new Set(scopes);
    if (!changed.delete(scope)) changed.add(scope);
    setScopes(changed);
  }

  return (
    <form
      className="token-form"
      aria-label="New token"
      onSubmit={(event) => {
        event.preventDefault();
        if (ready) void create();
      }}
    >
      <label className="field">
        <span>New token</span>
        <input className="input" data-testid="token-name" value={name} maxLength={128} required pattern=".*\S.*" dir="auto" placeholder="Where it is used" onChange={(event) => setName(event.target.value)} data-autofocus />
      </label>
      <fieldset className="scopes">
        <legend>It may</legend>
        {botScopes.map((scope) => (
          <label key={scope} className="scope">
            <input type="checkbox" data-testid={`scope-${scope}`} checked={scopes.has(scope)} onChange={() => toggle(scope)} />
            <span>{scopeWords[scope]}</span>
          </label>
        ))}
      </fieldset>
      <label className="field">
        <span>It ends</span>
        <select className="input" data-testid="token-span" value={span} onChange={(event) => setSpan(Number(event.target.value))}>
          {spans.map((days, index) => (
            <option key={days} value={index}>
              {days === null ? "Never" : `After ${days} days`}
            </option>
          ))}
        </select>
      </label>
      <button className="button button-primary" data-testid="token-create" disabled={busy || !ready}>
        Create token
      </button>
    </form>
  );
}
