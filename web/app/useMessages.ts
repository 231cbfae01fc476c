/** Owns reading a selection of a channel's messages, what is pinned or a thread, anew whenever something in the channel happens. */
import { useEffect, useMemo, useState } from "react";

import { Problem } from "../client";
import type { Channel, Message } from "../client";
import { useClient } from "./hooks";
import { refusal } from "./wording";

/** Of several things that happen at once, one question is enough. */
const pauseMs = 150;

/** Oldest first; `messages` is null before the first answer. `thread` is a message's id, or null for what is pinned. */
export function useMessages(channel: Channel, thread: string | null) {
  const client = useClient();
  const { id, seq, timeline } = channel;
  const [found, setFound] = useState<readonly Message[] | null>(null);
  const [failure, setFailure] = useState<string | null>(null);

  useEffect(() => {
    let current = true;
    const timer = setTimeout(() => {
      (thread === null ? client.api.pinned(id) : client.api.thread(id, thread)).then(
        (messages) => {
          if (!current) return;
          setFound([...messages].reverse());
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
  }, [client, id, thread, seq]);

  /** What the live log shows is newer than any answer. */
  const messages = useMemo(() => {
    if (found === null) return null;
    const live = timeline?.messages.filter((m) => (thread === null ? m.pinned && !m.deleted : m.thread === thread || m.id === thread)) ?? [];
    const newest = new Map([...found, ...live].map((message) => [message.seq, message]));
    const unpinned = new Set(thread === null ? timeline?.messages.filter((m) => !m.pinned || m.deleted).map((m) => m.seq) : []);
    return [...newest.values()].filter((m) => !unpinned.has(m.seq)).sort((a, b) => a.seq - b.seq);
  }, [found, timeline, thread]);

  return { messages, failure };
}
