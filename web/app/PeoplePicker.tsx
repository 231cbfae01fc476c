/** Owns choosing people of the tenant by name; leaves what happens with them to its parent. */
import { useEffect, useId, useState } from "react";
import type { KeyboardEvent } from "react";

import { Problem } from "../client";
import type { Person } from "../client";
import { PersonAvatar } from "./Avatar";
import { useClient, useClientState } from "./hooks";
import { CloseIcon } from "./icons";

const pauseMs = 150;

interface Props {
  chosen: readonly Person[];
  onChange: (people: readonly Person[]) => void;
  /** One person ends the choice. */
  single?: boolean;
  /** Not offered. */
  without?: readonly string[];
}

export function PeoplePicker({ chosen, onChange, single = false, without = [] }: Props) {
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const found = usePeople(query);
  const id = useId();
  const taken = new Set([...without, ...chosen.map((person) => person.user)]);
  const options = found.filter((person) => !taken.has(person.user));

  function choose(person: Person | undefined) {
    if (person === undefined) return;
    onChange(single ? [person] : [...chosen, person]);
    setQuery("");
    setAt(0);
  }

  function onKeyDown(event: KeyboardEvent) {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0 && options.length > 0) {
      event.preventDefault();
      setAt((at + step + options.length) % options.length);
    } else if (event.key === "Enter" && options.length > 0) {
      event.preventDefault();
      choose(options[at]);
    } else if (event.key === "Backspace" && query === "") {
      onChange(chosen.slice(0, -1));
    }
  }

  return (
    <div className="picker">
      <div className="picker-box">
        {chosen.map((person) => (
          <button key={person.user} type="button" className="chip" onClick={() => onChange(chosen.filter((p) => p !== person))} aria-label={`Remove ${person.name ?? person.user}`}>
            {person.name ?? person.user}
            <CloseIcon />
          </button>
        ))}
        <input
          data-testid="people-search"
          role="combobox"
          aria-expanded={options.length > 0}
          aria-controls={id}
          aria-activedescendant={options.length > 0 ? `${id}-${at}` : undefined}
          aria-label="Find people"
          placeholder={chosen.length === 0 ? "Find people by name" : ""}
          autoFocus={single}
          value={query}
          onChange={(event) => {
            setQuery(event.target.value);
            setAt(0);
          }}
          onKeyDown={onKeyDown}
        />
      </div>
      <ul className="options picker-options" id={id} role="listbox" aria-label="People">
        {options.map((person, index) => (
          <li key={person.user} id={`${id}-${index}`} role="option" aria-selected={index === at} className="option" data-testid="person" data-user={person.user} onPointerMove={() => setAt(index)} onClick={() => choose(person)}>
            <PersonAvatar id={person.user} name={person.name ?? person.user} />
            <span>{person.name ?? person.user}</span>
            <span className="option-note muted">{person.user}</span>
          </li>
        ))}
        {options.length === 0 && <li className="options-none muted">{query === "" ? "No one else has signed in yet." : "No one of that name."}</li>}
      </ul>
    </div>
  );
}

/** People whose name matches, without the caller; asked for once typing pauses. */
function usePeople(query: string): readonly Person[] {
  const client = useClient();
  const me = useClientState((state) => state.me?.user);
  const [found, setFound] = useState<readonly Person[]>([]);
  useEffect(() => {
    let current = true;
    const timer = setTimeout(() => {
      client.api.people(query.trim()).then(
        (people) => {
          client.directory.addNames(people);
          if (current) setFound(people.filter((person) => person.user !== me));
        },
        (error: unknown) => {
          if (!(error instanceof Problem)) throw error;
        },
      );
    }, query === "" ? 0 : pauseMs);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [client, query, me]);
  return found;
}
