/** Owns changing a channel: its name, its topic, and how long people wait between two messages. */
import { useState } from "react";

import type { Channel } from "../client";
import { Dialog } from "./Dialog";
import { useClient } from "./hooks";
import { useAttempt } from "./useAttempt";
import { spanWords } from "./wording";

const waits = [0, 5, 10, 30, 60, 300, 900, 3_600, 21_600];

export function ChannelSettings({ channel, onClose }: { channel: Channel; onClose: () => void }) {
  const client = useClient();
  const [name, setName] = useState(channel.name ?? "");
  const [topic, setTopic] = useState(channel.topic ?? "");
  const [wait, setWait] = useState(channel.slowModeSeconds);
  const { busy, failure, attempt } = useAttempt();
  const choices = waits.includes(wait) ? waits : [...waits, wait].sort((a, b) => a - b);

  async function save() {
    const changes = {
      ...(name.trim() === (channel.name ?? "") ? {} : { name: name.trim() }),
      ...(topic.trim() === (channel.topic ?? "") ? {} : { topic: topic.trim() }),
      ...(wait === channel.slowModeSeconds ? {} : { slow_mode_seconds: wait }),
    };
    if (Object.keys(changes).length === 0) return onClose();
    await attempt(async () => {
      client.addChannel(await client.api.changeChannel(channel.id, changes));
      onClose();
    });
  }

  return (
    <Dialog title="Conversation settings" onClose={onClose}>
      <form
        className="form"
        onSubmit={(event) => {
          event.preventDefault();
          if (name.trim() !== "") void save();
        }}
      >
        <label className="field">
          <span>Name</span>
          <input className="input" data-testid="settings-name" value={name} maxLength={128} required pattern=".*\S.*" dir="auto" onChange={(event) => setName(event.target.value)} autoFocus />
        </label>
        <label className="field">
          <span>Topic</span>
          <textarea className="input" data-testid="settings-topic" rows={2} value={topic} maxLength={1024} dir="auto" onChange={(event) => setTopic(event.target.value)} placeholder="What is it about?" />
        </label>
        <label className="field">
          <span>Slow mode</span>
          <select className="input" data-testid="settings-slow" value={wait} onChange={(event) => setWait(Number(event.target.value))}>
            {choices.map((seconds) => (
              <option key={seconds} value={seconds}>
                {seconds === 0 ? "Off" : `One message every ${spanWords(seconds)}`}
              </option>
            ))}
          </select>
          <span className="muted form-note">It does not bind moderators and owners.</span>
        </label>
        <p className="form-error" role="alert">
          {failure}
        </p>
        <footer className="dialog-foot">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button button-primary" data-testid="settings-save" disabled={busy || name.trim() === ""}>
            Save
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
