/** Finds messages by their words, in one conversation or in all; picking one goes to it. */
import { useCallback, useState } from "react";

import type { Channel, Message } from "../../client";
import { goTo } from "../browser/route";
import { useClient, useClientState } from "../state/client";
import { useRequest } from "../state/useRequest";
import { PersonName } from "../ui/PersonName";
import { channelTitle, personName, plainText, refusal, shortTime } from "../text/wording";
import { PersonAvatar } from "../ui/Avatar";
import { Dialog } from "../ui/Dialog";
import { SearchIcon } from "../ui/icons";
import { SearchField, SearchList, SearchResult, SearchResults } from "../ui/SearchList";

const pauseMs = 250;
const shownMax = 30;

interface Props {
  /** The conversation to search in first; null for all. */
  channel: Channel | null;
  onClose: () => void;
}

export function SearchDialog({ channel, onClose }: Props) {
  const client = useClient();
  const [query, setQuery] = useState("");
  const [everywhere, setEverywhere] = useState(channel === null);
  const words = query.trim();
  const where = everywhere ? undefined : channel?.id;
  const search = useCallback(async () => {
    const { items } = await client.api.search(words, { limit: shownMax, ...(where !== undefined && { channel: where }) });
    return items;
  }, [client, words, where]);
  const { answer, problem } = useRequest(words === "" ? null : search, pauseMs);
  const messages = words === "" ? null : answer;
  const note = words === "" ? "Type to search." : problem !== null ? refusal(problem) : messages === null ? "Searching…" : messages.length === 0 ? "No messages found." : null;

  function pick(message: Message) {
    onClose();
    goTo(message.channel, message.seq);
  }

  return (
    <Dialog title="Search messages" onClose={onClose} bare>
      <SearchList query={query} onQuery={setQuery}>
        <div className="search-box">
          <SearchIcon />
          <SearchField label="Search messages" className="switcher-input" data-testid="search-input" autoFocus placeholder="Search messages" maxLength={200} />
          {channel !== null && (
            <button type="button" className="chip" data-testid="search-scope" aria-pressed={!everywhere} onClick={() => setEverywhere(!everywhere)}>
              {everywhere ? "Everywhere" : "This conversation"}
            </button>
          )}
        </div>
        <SearchResults label="Messages found" className="search-results" note={note}>
          {messages?.map((message) => (
            <Hit key={message.id} message={message} onPick={() => pick(message)} />
          ))}
        </SearchResults>
      </SearchList>
    </Dialog>
  );
}

function Hit({ message, onPick }: { message: Message; onPick: () => void }) {
  const name = useClientState((state) => personName(state, message.sender));
  const where = useClientState((state) => {
    const channel = state.channels.get(message.channel);
    return channel === undefined ? "" : channelTitle(state, channel);
  });
  return (
    <SearchResult className="found" data-testid="search-hit" onClick={onPick}>
      <PersonAvatar id={message.sender} name={name} />
      <span className="found-text">
        <span className="found-head">
          <b>
            <PersonName user={message.sender} />
          </b>
          <bdi className="muted found-where">{where}</bdi>
          <time dateTime={message.at}>{shortTime(message.at)}</time>
        </span>
        <span className="found-words" dir="auto">
          {plainText(message)}
        </span>
      </span>
    </SearchResult>
  );
}
