/** Chooses people of the workspace by name. */
import { useCallback, useState } from "react";

import type { Person } from "../../client";
import { useClient, useClientState } from "../state/client";
import { useRequest } from "../state/useRequest";
import { lineOf } from "../text/isolation";
import { PersonAvatar } from "../ui/Avatar";
import { BotBadge } from "../ui/BotBadge";
import { CloseIcon } from "../ui/icons";
import { SearchField, SearchList, SearchResult, SearchResults } from "../ui/SearchList";

const pauseMs = 150;

interface Props {
  chosen: readonly Person[];
  onChange: (people: readonly Person[]) => void;
  /** Only one person can be chosen. */
  single?: boolean;
  /** User ids that are not offered. */
  without?: readonly string[];
}

export function PeoplePicker({ chosen, onChange, single = false, without = [] }: Props) {
  const [query, setQuery] = useState("");
  const found = usePeople(query);
  const taken = new Set([...without, ...chosen.map((person) => person.user)]);
  const people = found?.filter((person) => !taken.has(person.user)) ?? [];
  const none = query !== "" ? "No people found." : found?.length === 0 ? "No other people in this workspace yet." : "Everyone has been added.";

  function choose(person: Person) {
    onChange(single ? [person] : [...chosen, person]);
    setQuery("");
  }

  return (
    <div className="picker">
      <SearchList query={query} onQuery={setQuery}>
        <div className="picker-box">
          {chosen.map((person) => (
            <button key={person.user} type="button" className="chip" onClick={() => onChange(chosen.filter((p) => p !== person))} aria-label={`Remove ${nameOf(person)}`}>
              <bdi>{nameOf(person)}</bdi>
              <CloseIcon />
            </button>
          ))}
          <SearchField
            label="Search people"
            data-testid="people-search"
            autoFocus={single}
            placeholder={chosen.length === 0 ? "Search by name" : ""}
            onKeyDown={(event) => {
              if (event.key === "Backspace" && query === "") onChange(chosen.slice(0, -1));
            }}
          />
        </div>
        <SearchResults label="People" className="picker-options" note={found === null || people.length > 0 ? null : none}>
          {people.map((person) => (
            <SearchResult key={person.user} data-testid="person" data-user={person.user} onClick={() => choose(person)}>
              <PersonAvatar id={person.user} name={nameOf(person)} />
              <span>
                <bdi>{nameOf(person)}</bdi>
                <BotBadge user={person.user} />
              </span>
              <bdi className="option-note muted">{person.user}</bdi>
            </SearchResult>
          ))}
        </SearchResults>
      </SearchList>
    </div>
  );
}

function nameOf({ name, user }: Person): string {
  return lineOf(name ?? user);
}

/** People whose name matches, without the caller; null before the first answer. */
function usePeople(query: string): readonly Person[] | null {
  const client = useClient();
  const me = useClientState((state) => state.me?.user);
  const search = useCallback(async () => {
    const people = await client.people.api.find(query.trim());
    client.people.addNames(people);
    return people.filter((person) => person.user !== me);
  }, [client, query, me]);
  return useRequest(search, query === "" ? 0 : pauseMs).answer;
}
