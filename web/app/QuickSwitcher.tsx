/** Owns finding a conversation by typing part of its name (Ctrl K). */
import { useId, useMemo, useState } from "react";
import type { KeyboardEvent } from "react";

import { ChannelAvatar, PersonAvatar } from "./Avatar";
import { Dialog } from "./Dialog";
import { useClientState } from "./hooks";
import { byActivity } from "./Sidebar";
import { channelTitle, peerOf } from "./wording";

const shownMax = 8;

interface Props {
  onClose: () => void;
  onPick: (channel: string) => void;
}

export function QuickSwitcher({ onClose, onPick }: Props) {
  const channels = useClientState((state) => state.channels);
  const names = useClientState((state) => state.names);
  const members = useClientState((state) => state.members);
  const me = useClientState((state) => state.me);
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const id = useId();

  const hits = useMemo(() => {
    const wanted = query.trim().toLowerCase();
    return byActivity(channels.values())
      .map((channel) => ({ channel, title: channelTitle({ names, members, me }, channel), peer: peerOf({ members, me }, channel) }))
      .filter((hit) => hit.title.toLowerCase().includes(wanted))
      .slice(0, shownMax);
  }, [channels, names, members, me, query]);

  function pick(index: number) {
    const hit = hits[index];
    if (hit === undefined) return;
    onPick(hit.channel.id);
    onClose();
  }

  function onKeyDown(event: KeyboardEvent) {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0 && hits.length > 0) {
      event.preventDefault();
      setAt((at + step + hits.length) % hits.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      pick(at);
    }
  }

  return (
    <Dialog title="Find a conversation" onClose={onClose} bare>
      <input
        className="switcher-input"
        data-testid="switcher"
        role="combobox"
        aria-expanded="true"
        aria-controls={id}
        aria-activedescendant={hits.length > 0 ? `${id}-${at}` : undefined}
        aria-label="Find a conversation"
        placeholder="Find a conversation"
        autoFocus
        value={query}
        onChange={(event) => {
          setQuery(event.target.value);
          setAt(0);
        }}
        onKeyDown={onKeyDown}
      />
      <ul className="options" id={id} role="listbox" aria-label="Conversations">
        {hits.map(({ channel, title, peer }, index) => (
          <li key={channel.id} id={`${id}-${index}`} role="option" aria-selected={index === at} className="option" onPointerMove={() => setAt(index)} onClick={() => pick(index)}>
            {peer === null ? <ChannelAvatar kind={channel.kind} /> : <PersonAvatar id={peer} name={title} />}
            <span>{title}</span>
          </li>
        ))}
        {hits.length === 0 && <li className="options-none muted">No conversation of that name.</li>}
      </ul>
    </Dialog>
  );
}
