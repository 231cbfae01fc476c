/** Owns finding a conversation by typing part of its name (Ctrl K): the caller's own, then public ones to join. */
import { useEffect, useId, useMemo, useState } from "react";
import type { KeyboardEvent } from "react";

import { Problem } from "../client";
import type { ChannelSummary } from "../client";

import { ChannelAvatar, PersonAvatar } from "./Avatar";
import { Dialog } from "./Dialog";
import { useClient, useClientState } from "./hooks";
import { SearchIcon } from "./icons";
import { byActivity } from "./Sidebar";
import { channelTitle, peerOf } from "./wording";

const shownMax = 8;

interface Props {
  onClose: () => void;
  onPick: (channel: string) => void;
  /** Messages are wanted instead. */
  onSearch: () => void;
}

export function QuickSwitcher({ onClose, onPick, onSearch }: Props) {
  const channels = useClientState((state) => state.channels);
  const names = useClientState((state) => state.names);
  const members = useClientState((state) => state.members);
  const me = useClientState((state) => state.me);
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const joinable = useJoinable();
  const id = useId();

  const hits = useMemo(() => {
    const wanted = query.trim().toLowerCase();
    return byActivity(channels.values())
      .map((channel) => ({ id: channel.id, kind: channel.kind, title: channelTitle({ names, members, me }, channel), peer: peerOf({ members, me }, channel), note: "" }))
      .concat(joinable.filter(({ id }) => !channels.has(id)).map(({ id, kind, name }) => ({ id, kind, title: name ?? "", peer: null, note: "Join" })))
      .filter((hit) => hit.title.toLowerCase().includes(wanted))
      .slice(0, shownMax);
  }, [channels, joinable, names, members, me, query]);

  function pick(index: number) {
    const hit = hits[index];
    if (hit === undefined) return;
    onPick(hit.id);
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
        {hits.map(({ kind, title, peer, note, ...hit }, index) => (
          <li key={hit.id} data-testid="switcher-option" id={`${id}-${index}`} role="option" aria-selected={index === at} className="option" onPointerMove={() => setAt(index)} onClick={() => pick(index)}>
            {peer === null ? <ChannelAvatar kind={kind} /> : <PersonAvatar id={peer} name={title} />}
            <span>{title}</span>
            {note !== "" && <span className="option-note muted">{note}</span>}
          </li>
        ))}
        {hits.length === 0 && <li className="options-none muted">No conversation of that name.</li>}
      </ul>
      <button type="button" className="switcher-more" data-testid="search-messages" onClick={onSearch}>
        <SearchIcon /> Search messages instead
      </button>
    </Dialog>
  );
}

/** Public channels that the caller is not in yet; none when the server cannot say. */
function useJoinable(): readonly ChannelSummary[] {
  const client = useClient();
  const [found, setFound] = useState<readonly ChannelSummary[]>([]);
  useEffect(() => {
    let current = true;
    client.api.joinable().then(
      (channels) => current && setFound(channels),
      (error: unknown) => {
        if (!(error instanceof Problem)) throw error;
      },
    );
    return () => {
      current = false;
    };
  }, [client]);
  return found;
}
