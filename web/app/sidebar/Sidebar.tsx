/** The list of conversations, newest activity first, and the caller's own menu. Arrow keys move through the list. */
import { useCallback, useMemo, useRef } from "react";
import type { KeyboardEvent } from "react";

import type { Channel } from "../../client";
import { AccountMenu } from "./AccountMenu";
import { PersonAvatar } from "../ui/Avatar";
import { ChannelItem } from "./ChannelItem";
import { useClient, useClientState } from "../state/client";
import { Invitations } from "./Invitations";
import { useGrowing } from "./useGrowing";
import { isolated, lineOf } from "../text/isolation";
import { Mark, PlusIcon, SearchIcon } from "../ui/icons";

interface Props {
  current: string | null;
  onNew: () => void;
  onSwitch: () => void;
}

export function byActivity(channels: Iterable<Channel>): readonly Channel[] {
  const at = (channel: Channel) => channel.last?.at ?? "";
  return [...channels].sort((a, b) => (at(b) < at(a) ? -1 : at(b) > at(a) ? 1 : a.id < b.id ? -1 : 1));
}

export function Sidebar({ current, onNew, onSwitch }: Props) {
  const channels = useClientState((state) => state.channels);
  const client = useClient();
  const listed = useClientState((state) => state.listed);
  const moreChannels = useClientState((state) => state.moreChannels);
  const me = useClientState((state) => state.me);
  const status = useClientState((state) => (state.connection.name === "open" ? state.status : "offline"));
  const list = useRef<HTMLUListElement>(null);
  const ordered = useMemo(() => byActivity(channels.values()), [channels]);
  const loadMore = useCallback(() => void client.directory.loadMoreChannels(), [client]);
  const { count, end } = useGrowing(ordered.length, ordered.findIndex((channel) => channel.id === current) + 1, moreChannels ? loadMore : null);
  const name = lineOf(me?.name ?? me?.user ?? "");

  function move(event: KeyboardEvent) {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp" && event.key !== "Home" && event.key !== "End") return;
    const items = [...(list.current?.querySelectorAll<HTMLElement>("[data-channel]") ?? [])];
    const at = items.findIndex((item) => item === document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    event.preventDefault();
    items[Math.max(0, Math.min(items.length - 1, to))]?.focus();
  }

  return (
    <nav className="sidebar" aria-label="Conversations">
      <header className="sidebar-head">
        <Mark />
        <h1 className="wordmark">Hubbub</h1>
        <button type="button" className="icon-button" onClick={onSwitch} data-testid="find" aria-label="Search" title="Search (Ctrl K)">
          <SearchIcon />
        </button>
        <button type="button" className="icon-button" data-testid="new-channel" onClick={onNew} aria-label="New conversation" title="New conversation">
          <PlusIcon />
        </button>
      </header>
      <div className="sidebar-list">
        <Invitations />
        {!listed ? (
          <ListSkeleton />
        ) : ordered.length === 0 ? (
          <p className="sidebar-empty muted">No conversations yet. Start one, and it will appear here.</p>
        ) : (
          <ul ref={list} onKeyDown={move}>
            {ordered.slice(0, count).map((channel, index) => {
              const selected = channel.id === current;
              const tabbable = selected || (index === 0 && (current === null || !channels.has(current)));
              return <ChannelItem key={channel.id} channel={channel} selected={selected} tabbable={tabbable} />;
            })}
          </ul>
        )}
        <div ref={end} />
      </div>
      <footer className="sidebar-foot">
        <PersonAvatar id={me?.user ?? ""} name={name} status={status} />
        <span className="sidebar-me" data-testid="me" title={me === null ? "" : `${isolated(me.user)} · ${me.tenant}`}>
          <bdi>{name}</bdi>
        </span>
        <AccountMenu />
      </footer>
    </nav>
  );
}

function ListSkeleton() {
  return (
    <div className="skeletons" aria-hidden="true">
      {["60%", "45%", "70%", "50%"].map((width) => (
        <div key={width} className="skeleton-item">
          <span className="skeleton skeleton-avatar" />
          <span className="skeleton" style={{ width }} />
        </div>
      ))}
    </div>
  );
}
