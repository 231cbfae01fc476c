/** Owns finding messages by their words, in one conversation or in all; picking one leads to it. */
import { useEffect, useId, useRef, useState } from "react";
import type { KeyboardEvent } from "react";

import { Problem } from "../client";
import type { Channel, Message } from "../client";
import { PersonAvatar } from "./Avatar";
import { Dialog } from "./Dialog";
import { useClient, useClientState } from "./hooks";
import { SearchIcon } from "./icons";
import { goTo } from "./route";
import { channelTitle, personName, plainText, refusal, shortTime } from "./wording";

const pauseMs = 250;
const shownMax = 30;

interface Props {
  /** Where to search; null for everywhere. */
  channel: Channel | null;
  onClose: () => void;
}

export function SearchDialog({ channel, onClose }: Props) {
  const [query, setQuery] = useState("");
  const [everywhere, setEverywhere] = useState(channel === null);
  const { messages, failure } = useSearch(query, everywhere ? undefined : channel?.id);
  const [at, setAt] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const id = useId();

  function pick(message: Message | undefined) {
    if (message === undefined) return;
    onClose();
    goTo(message.channel, message.seq);
  }

  function onKeyDown(event: KeyboardEvent) {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0 && messages !== null && messages.length > 0) {
      event.preventDefault();
      const next = (at + step + messages.length) % messages.length;
      setAt(next);
      list.current?.children[next]?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter") {
      event.preventDefault();
      pick(messages?.[at]);
    }
  }

  return (
    <Dialog title="Search messages" onClose={onClose} bare>
      <div className="search-box">
        <SearchIcon />
        <input
          className="switcher-input"
          data-testid="search-input"
          role="combobox"
          aria-expanded={messages !== null}
          aria-controls={id}
          aria-activedescendant={messages !== null && messages.length > 0 ? `${id}-${at}` : undefined}
          aria-label="Search messages"
          placeholder="Search messages"
          autoFocus
          value={query}
          maxLength={200}
          onChange={(event) => {
            setQuery(event.target.value);
            setAt(0);
          }}
          onKeyDown={onKeyDown}
        />
        {channel !== null && (
          <button type="button" className="chip" data-testid="search-scope" aria-pressed={!everywhere} onClick={() => setEverywhere(!everywhere)}>
            {everywhere ? "Everywhere" : "This conversation"}
          </button>
        )}
      </div>
      {failure !== null && (
        <p className="form-error panel-note" role="alert">
          {failure}
        </p>
      )}
      <ul ref={list} className="options search-results" id={id} role="listbox" aria-label="Messages found">
        {messages?.map((message, index) => (
          <Hit key={message.id} message={message} id={`${id}-${index}`} selected={index === at} onPoint={() => setAt(index)} onPick={() => pick(message)} />
        ))}
        {messages?.length === 0 && <li className="options-none muted">Nothing found.</li>}
        {messages === null && failure === null && <li className="options-none muted">{query.trim() === "" ? "Type words that it holds." : "Searching…"}</li>}
      </ul>
    </Dialog>
  );
}

interface HitProps {
  message: Message;
  id: string;
  selected: boolean;
  onPoint: () => void;
  onPick: () => void;
}

function Hit({ message, id, selected, onPoint, onPick }: HitProps) {
  const name = useClientState((state) => personName(state, message.sender));
  const where = useClientState((state) => {
    const channel = state.channels.get(message.channel);
    return channel === undefined ? "" : channelTitle(state, channel);
  });
  return (
    <li id={id} role="option" aria-selected={selected} className="option found" data-testid="search-hit" onPointerMove={onPoint} onClick={onPick}>
      <PersonAvatar id={message.sender} name={name} />
      <span className="found-text">
        <span className="found-head">
          <b>{name}</b>
          <span className="muted found-where">{where}</span>
          <time dateTime={message.at}>{shortTime(message.at)}</time>
        </span>
        <span className="found-words" dir="auto">
          {plainText(message)}
        </span>
      </span>
    </li>
  );
}

/** `messages` is null before the first answer. */
function useSearch(query: string, channel: string | undefined) {
  const client = useClient();
  const wanted = query.trim();
  const [found, setFound] = useState<{ wanted: string; channel: string | undefined; messages: readonly Message[] } | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  useEffect(() => {
    if (wanted === "") return;
    let current = true;
    const timer = setTimeout(() => {
      client.api.search(wanted, { limit: shownMax, ...(channel === undefined ? {} : { channel }) }).then(
        ({ items }) => {
          if (!current) return;
          setFound({ wanted, channel, messages: items });
          setFailure(null);
        },
        (error: unknown) => {
          if (!(error instanceof Problem)) throw error;
          if (current) setFailure(refusal(error.reason, error.detail));
        },
      );
    }, pauseMs);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [client, wanted, channel]);
  // What was found for fewer letters stays until there is something better, so that the list does not blink.
  return { messages: wanted === "" ? null : (found?.messages ?? null), failure: wanted === "" ? null : failure };
}
