/** Finds a conversation by part of its name (Ctrl K): first those of the caller, then public channels to join. */
import { useCallback, useMemo, useState } from "react";

import { useClient, useClientState } from "../state/client";
import { useRequest } from "../state/useRequest";
import { lineOf } from "../text/isolation";
import { PersonName } from "../ui/PersonName";
import { channelTitle, peerOf } from "../text/wording";
import { ChannelAvatar, PersonAvatar } from "../ui/Avatar";
import { Dialog } from "../ui/Dialog";
import { SearchIcon } from "../ui/icons";
import { SearchField, SearchList, SearchResult, SearchResults } from "../ui/SearchList";
import { byActivity } from "./Sidebar";

const shownMax = 8;

interface Props {
  onClose: () => void;
  onPick: (channel: string) => void;
  /** Switches to the search for messages. */
  onSearch: () => void;
}

export function QuickSwitcher({ onClose, onPick, onSearch }: Props) {
  const client = useClient();
  const channels = useClientState((state) => state.channels);
  const names = useClientState((state) => state.names);
  const members = useClientState((state) => state.members);
  const me = useClientState((state) => state.me);
  const [query, setQuery] = useState("");
  const { answer: joinable } = useRequest(useCallback(() => client.api.joinable(), [client]));

  const hits = useMemo(() => {
    const wanted = query.trim().toLowerCase();
    return byActivity(channels.values())
      .map((channel) => ({ id: channel.id, kind: channel.kind, title: channelTitle({ names, members, me }, channel), peer: peerOf({ members, me }, channel), note: "" }))
      .concat((joinable ?? []).filter(({ id }) => !channels.has(id)).map(({ id, kind, name }) => ({ id, kind, title: lineOf(name ?? ""), peer: null, note: "Join" })))
      .filter((hit) => hit.title.toLowerCase().includes(wanted))
      .slice(0, shownMax);
  }, [channels, joinable, names, members, me, query]);

  function pick(channel: string) {
    onPick(channel);
    onClose();
  }

  return (
    <Dialog title="Find a conversation" onClose={onClose} bare>
      <SearchList query={query} onQuery={setQuery}>
        <SearchField label="Find a conversation" className="switcher-input" data-testid="switcher" autoFocus placeholder="Find a conversation" />
        <SearchResults label="Conversations" note={hits.length === 0 ? "No conversations found." : null}>
          {hits.map(({ id, kind, title, peer, note }) => (
            <SearchResult key={id} data-testid="switcher-option" onClick={() => pick(id)}>
              {peer === null ? <ChannelAvatar kind={kind} /> : <PersonAvatar id={peer} name={title} />}
              <span>{peer === null ? <bdi>{title}</bdi> : <PersonName user={peer} />}</span>
              {note !== "" && <span className="option-note muted">{note}</span>}
            </SearchResult>
          ))}
        </SearchResults>
      </SearchList>
      <button type="button" className="switcher-more" data-testid="search-messages" onClick={onSearch}>
        <SearchIcon /> Search messages instead
      </button>
    </Dialog>
  );
}
