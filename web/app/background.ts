/** What the page does in the background: loads missing names, watches presence, counts unread messages in its title. */
import { useEffect, useMemo } from "react";

import { unread } from "../client";
import type { Channel } from "../client";
import { useClient, useClientState } from "./state/client";
import { byActivity } from "./sidebar/Sidebar";
import { peerOf } from "./text/wording";

/** Member lists requested at once; the next ones follow when these have arrived. */
const listsMax = 4;
/** Names requested at once. */
const namesMax = 8;
/** Members of the open channel, and peers of direct conversations, whose presence is watched: the latest of them. */
const watchedMax = 100;

/** Loads the members of channels whose title or preview would show a user id, and the names of those who wrote on screen. */
export function useMissingNames(): void {
  const client = useClient();
  const channels = useClientState((state) => state.channels);
  const members = useClientState((state) => state.members);
  const names = useClientState((state) => state.names);
  const me = useClientState((state) => state.me?.user);
  const open = useClientState((state) => (state.openChannel === null ? undefined : state.channels.get(state.openChannel)));
  const missing = useMemo(() => {
    const unnamed = ({ kind, peer, last }: Channel) => (kind === "direct" && peer === null) || (last !== null && last.sender !== me && !names.has(last.sender));
    const ids = [...channels.values()].filter((c) => !members.has(c.id) && unnamed(c)).map((c) => c.id);
    return ids.slice(0, listsMax).join(" ");
  }, [channels, members, names, me]);
  useEffect(() => {
    for (const id of missing.split(" ")) if (id !== "") void client.people.loadMembers(id);
  }, [client, missing]);
  useEffect(() => {
    if (open === undefined || !members.has(open.id)) return;
    const senders = new Set(open.timeline?.messages.map((message) => message.sender));
    const unknown = [...senders].filter((user) => user !== me && !names.has(user));
    for (const user of unknown.slice(0, namesMax)) void client.people.loadName(open.id, user);
  }, [client, open, members, names, me]);
}

/** Watches the presence of everyone on screen: the peers of direct conversations and the members of the open one. */
export function usePresenceWatch(): void {
  const client = useClient();
  const channels = useClientState((state) => state.channels);
  const members = useClientState((state) => state.members);
  const me = useClientState((state) => state.me);
  const open = useClientState((state) => state.openChannel);
  useEffect(() => {
    const peers = byActivity(channels.values()).map((channel) => peerOf({ members, me }, channel)).filter((user) => user !== null);
    const shown = open === null ? [] : (members.get(open)?.members ?? []).map((member) => member.user);
    client.watch([...peers.slice(0, watchedMax), ...shown.slice(0, watchedMax)].filter((user) => user !== me?.user));
  }, [client, channels, members, me, open]);
}

/** Shows the number of unread messages in the page's title. */
export function useUnreadTitle(): void {
  const total = useClientState((state) => [...state.channels.values()].reduce((sum, channel) => sum + (channel.muted ? 0 : unread(channel)), 0));
  useEffect(() => {
    document.title = total > 0 ? `(${total > 99 ? "99+" : total}) Hubbub` : "Hubbub";
  }, [total]);
}
