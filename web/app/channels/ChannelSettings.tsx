/** Changes a channel's name, topic and slow mode. */
import { useState } from "react";

import type { Channel } from "../../client";
import { Dialog } from "../ui/Dialog";
import { useClient } from "../state/client";
import { useAttempt } from "../state/useAttempt";
import { spanWords } from "../text/wording";

/** Seconds between two messages of one member. */
const slowModes = [0, 5, 10, 30, 60, 300, 900, 3_600, 21_600];

export function ChannelSettings({ channel, onClose }: { channel: Channel; onClose: () => void }) {
  const client = useClient();
  const [name, setName] = useState(channel.name ?? "");
  const [topic, setTopic] = useState(channel.topic ?? "");
  const [slowMode, setSlowMode] = useState(channel.slowModeSeconds);
  const { busy, failure, attempt } = useAttempt();
  const choices = [...new Set([...slowModes, channel.slowModeSeconds])].sort((a, b) => a - b);

  async function save() {
    const changes = {
      ...(name.trim() === (channel.name ?? "") ? {} : { name: name.trim() }),
      ...(topic.trim() === (channel.topic ?? "") ? {} : { topic: topic.trim() }),
      ...(slowMode === channel.slowModeSeconds ? {} : { slow_mode_seconds: slowMode }),
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
          <input className="input" data-testid="settings-name" value={name} maxLength={128} required pattern=".*\S.*" dir="auto" onChange={(event) => setName(event.target.value)} data-autofocus />
        </label>
        <label className="field">
          <span>Topic</span>
          <textarea className="input" data-testid="settings-topic" rows={2} value={topic} maxLength={1024} dir="auto" onChange={(event) => setTopic(event.target.value)} placeholder="What is this conversation about?" />
        </label>
        <label className="field">
          <span>Slow mode</span>
          <select className="input" data-testid="settings-slow" value={slowMode} onChange={(event) => setSlowMode(Number(event.target.value))}>
            {choices.map((seconds) => (
              <option key={seconds} value={seconds}>
                {seconds === 0 ? "Off" : `One message every ${spanWords(seconds)}`}
              </option>
            ))}
          </select>
          <span className="muted form-note">Moderators and owners are not limited.</span>
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
