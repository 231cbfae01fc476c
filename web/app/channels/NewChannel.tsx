/** Starts a conversation: a direct one with one person, or a named one with several. */
import { useState } from "react";

import type { Person } from "../../client";
import { Dialog } from "../ui/Dialog";
import { useClient } from "../state/client";
import { PeoplePicker } from "../people/PeoplePicker";
import { useAttempt } from "../state/useAttempt";
import { isolated } from "../text/isolation";
import { Sentence } from "../text/Sentence";
import { listNames } from "../text/wording";

type Choice = "direct" | "group" | "public" | "broadcast" | "qa";

const choices: readonly { kind: Choice; title: string; note: string }[] = [
  { kind: "direct", title: "Direct", note: "You and one other person." },
  { kind: "group", title: "Group", note: "Only the people you add." },
  { kind: "public", title: "Public", note: "Anyone in this workspace can join." },
  { kind: "broadcast", title: "News", note: "Only moderators post. The people you add can read." },
  { kind: "qa", title: "Q&A", note: "Questions and answers among the people you add." },
];

interface Props {
  onClose: () => void;
  onMade: (channel: string) => void;
}

export function NewChannel({ onClose, onMade }: Props) {
  const client = useClient();
  const [kind, setKind] = useState<Choice>("direct");
  const [name, setName] = useState("");
  const [history, setHistory] = useState(true);
  const [people, setPeople] = useState<readonly Person[]>([]);
  /** Of the channel that was made: the people who were invited instead of added. */
  const [invited, setInvited] = useState<readonly Person[]>([]);
  const { busy, failure, attempt } = useAttempt();
  const ready = kind === "direct" ? people.length === 1 : name.trim() !== "";

  async function make(members: readonly Person[]) {
    await attempt(async () => {
      const users = members.map((person) => person.user);
      const channel = await client.api.createChannel(kind === "direct" ? { kind, members: users } : { kind, name: name.trim(), members: users, history: history ? "all" : "joined" });
      client.addChannel(channel);
      onMade(channel.id);
      const waiting = members.filter(({ user }) => channel.invited?.includes(user));
      setInvited(waiting);
      if (waiting.length === 0) onClose();
    });
  }

  if (invited.length > 0) {
    return (
      <Dialog title="Invited" onClose={onClose}>
        <div className="form">
          <p className="form-note" data-testid="only-invited">
            <Sentence text={`${listNames(invited.map(({ name: shown, user }) => isolated(shown ?? user)))} can accept your invitation.`} />
          </p>
          <footer className="dialog-foot">
            <button type="button" className="button button-primary" data-testid="invited-done" data-autofocus onClick={onClose}>
              Done
            </button>
          </footer>
        </div>
      </Dialog>
    );
  }

  return (
    <Dialog title="New conversation" onClose={onClose}>
      <form
        className="form"
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) void make(people);
        }}
      >
        <fieldset className="segments">
          <legend className="hidden">Type</legend>
          {choices.map((choice) => (
            <label key={choice.kind} className="segment">
              <input type="radio" name="kind" value={choice.kind} data-testid={`kind-${choice.kind}`} checked={kind === choice.kind} onChange={() => setKind(choice.kind)} />
              <span>{choice.title}</span>
            </label>
          ))}
        </fieldset>
        <p className="muted form-note">{choices.find((choice) => choice.kind === kind)?.note}</p>
        {kind !== "direct" && (
          <label className="field">
            <span>Name</span>
            <input className="input" data-testid="channel-name" value={name} onChange={(event) => setName(event.target.value)} maxLength={80} data-autofocus placeholder="Weekend hike" />
          </label>
        )}
        <div className="field">
          <span>{kind === "direct" ? "Person" : "People"}</span>
          <PeoplePicker key={kind} chosen={people} onChange={setPeople} single={kind === "direct"} />
        </div>
        {kind !== "direct" && (
          <label className="check">
            <input type="checkbox" data-testid="channel-history" checked={history} onChange={(event) => setHistory(event.target.checked)} />
            New members can see earlier messages
          </label>
        )}
        <p className="form-error" role="alert">
          {failure}
        </p>
        <footer className="dialog-foot">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button button-primary" data-testid="create-channel" disabled={!ready || busy}>
            {kind === "direct" ? "Start" : "Create"}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
