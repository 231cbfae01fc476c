/** Loads a channel's pinned messages or one thread, and again after every event of the channel. */
import { useCallback, useMemo } from "react";

import type { Channel, Message } from "../../client";
import { useClient } from "../state/client";
import { useRequest } from "../state/useRequest";

/** Several events in a row cause one request. */
const pauseMs = 150;

/** Oldest first; `messages` is null before the first answer. `thread` is the id of its first message, or null for the pinned messages. */
export function useMessages(channel: Channel, thread: string | null) {
  const client = useClient();
  const { id, seq, timeline } = channel;
  // `seq` changes with every event, and so causes a new request.
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const load = useCallback(() => (thread === null ? client.api.pinned(id) : client.api.thread(id, thread)), [client, id, thread, seq]);
  const { answer, problem } = useRequest(load, pauseMs);

  /** The live log is newer than any answer. */
  const messages = useMemo(() => {
    if (answer === null) return null;
    const wanted = (m: Message) => (thread === null ? m.pinned && !m.deleted : m.thread === thread || m.id === thread);
    const live = timeline?.messages ?? [];
    const newest = new Map([...answer, ...live.filter(wanted)].map((message) => [message.seq, message]));
    if (thread === null) for (const message of live) if (!wanted(message)) newest.delete(message.seq);
    return [...newest.values()].sort((a, b) => a.seq - b.seq);
  }, [answer, timeline, thread]);

  return { messages, problem };
}
