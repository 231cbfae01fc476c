/**
 * Finds a conversation by part of its name (Ctrl K): first those of the caller, then public channels to join. The server searches
 * where not all of them are loaded.
 */
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
/** A pause in typing, after which the server is asked. */
const typingMs = 150;

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
  const moreChannels = useClientState((state) => state.moreChannels);
  const wanted = query.trim().toLowerCase();
  const findMine = useCallback(() => client.api.findChannels(wanted, shownMax), [client, wanted]);
  const findJoinable = useCallback(() => client.api.findChannels(wanted, shownMax, true), [client, wanted]);
  const { answer: mine } = useRequest(moreChannels && wanted !== "" ? findMine : null, typingMs);
  const { answer: joinable } = useRequest(findJoinable, wanted === "" ? 0 : typingMs);

  const hits = useMemo(() => {
    return byActivity(channels.values())
      .map((channel) => ({ id: channel.id, kind: channel.kind, title: channelTitle({ names, members, me }, channel), peer: peerOf({ members, me }, channel), note: "" }))
      .concat((mine ?? []).filter(({ id }) => !channels.has(id)).map(({ id, kind, name, peer }) => ({ id, kind, title: lineOf(peer?.name ?? peer?.user ?? name ?? ""), peer: peer?.user ?? null, note: "" })))
      .concat((joinable ?? []).filter(({ id }) => !channels.has(id)).map(({ id, kind, name }) => ({ id, kind, title: lineOf(name ?? ""), peer: null, note: "Join" })))
      .filter((hit) => hit.title.toLowerCase().includes(wanted))
      .slice(0, shownMax);
  }, [channels, mine, joinable, names, members, me, wanted]);

  function pick(channel: string) {
    client.learn((mine ?? []).filter(({ id }) => id === channel));
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
