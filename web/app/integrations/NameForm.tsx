/** A line with a name and a button that creates something of that name. */
import { useState } from "react";

interface Props {
  label: string;
  placeholder: string;
  action: string;
  busy: boolean;
  testid: string;
  /** Resolves to whether it was created. */
  onCreate: (name: string) => Promise<boolean>;
}

export function NameForm({ label, placeholder, action, busy, testid, onCreate }: Props) {
  const [name, setName] = useState("");
  const given = name.trim();

  async function create() {
    if (await onCreate(given)) setName("");
  }

  return (
    <form
      className="name-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (given !== "") void create();
      }}
    >
      <label className="field">
        <span>{label}</span>
        <input className="input" data-testid={`${testid}-name`} value={name} maxLength={128} required pattern=".*\S.*" dir="auto" placeholder={placeholder} onChange={(event) => setName(event.target.value)} data-autofocus />
      </label>
      <button className="button button-primary" data-testid={`${testid}-create`} disabled={busy || given === ""}>
        {action}
      </button>
    </form>
  );
}
