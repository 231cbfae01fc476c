/** Owns what the page as a whole pays attention to: whose presence it watches, whose names it needs, what its title says. */
import { useEffect, useMemo } from "react";

import { unread } from "../client";
import type { Channel } from "../client";
import { useClient, useClientState } from "./hooks";
import { peerOf } from "./wording";

/** Member lists that a start may ask for at once; the rest follows as these arrive. */
const atOnce = 4;
const facesMax = 100;

export function useAttention(): void {
  const client = useClient();
  const channels = useClientState((state) => state.channels);
  const members = useClientState((state) => state.members);
  const me = useClientState((state) => state.me);
  const open = useClientState((state) => state.openChannel);

  const names = useClientState((state) => state.names);

  /** Channels that cannot be told apart or previewed without their members' names. */
  const missing = useMemo(() => {
    const unnamed = ({ kind, peer, last }: Channel) =>
      (kind === "direct" && peer === null) || (last !== null && last.sender !== me?.user && !names.has(last.sender));
    return [...channels.values()].filter((c) => !members.has(c.id) && unnamed(c)).map((c) => c.id);
  }, [channels, members, names, me]);
  const wanted = missing.slice(0, atOnce).join(" ");
  useEffect(() => {
    for (const id of wanted.split(" ")) if (id !== "") void client.directory.loadMembers(id);
  }, [client, wanted]);

  useEffect(() => {
    const peers = [...channels.values()].map((channel) => peerOf({ members, me }, channel)).filter((user) => user !== null);
    const faces = open === null ? [] : (members.get(open) ?? []).map((member) => member.user);
    client.watch([...peers, ...faces.slice(0, facesMax)].filter((user) => user !== me?.user));
  }, [client, channels, members, me, open]);

  const total = [...channels.values()].reduce((sum, channel) => sum + (channel.muted ? 0 : unread(channel)), 0);
  useEffect(() => {
    document.title = total > 0 ? `(${total > 99 ? "99+" : total}) Hubbub` : "Hubbub";
  }, [total]);
}
