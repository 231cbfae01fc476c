/** Owns the files being attached to the message that is being written. */
import { useCallback, useEffect, useRef, useState } from "react";

import { Problem, upload } from "../client";
import type { Attachment } from "../client";
import { useClient } from "./hooks";
import { refusal } from "./wording";

export interface Upload {
  key: number;
  name: string;
  size: number;
  state: { name: "going" } | { name: "ready"; attachment: Attachment } | { name: "failed"; words: string };
}

/** As many as one message carries. */
const filesMax = 10;

export function useUploads(channel: string) {
  const client = useClient();
  const [uploads, setUploads] = useState<readonly Upload[]>([]);
  const running = useRef(new Map<number, AbortController>());
  const count = useRef(0);

  useEffect(() => {
    const all = running.current;
    return () => {
      for (const controller of all.values()) controller.abort();
    };
  }, []);

  const add = useCallback(
    (files: Iterable<File>) => {
      const started = [...files].slice(0, filesMax).map((file) => {
        const key = (count.current += 1);
        const controller = new AbortController();
        running.current.set(key, controller);
        const become = (state: Upload["state"]) => setUploads((now) => now.map((one) => (one.key === key ? { ...one, state } : one)));
        upload(client.api, file, channel, { signal: controller.signal })
          .then(
            (attachment) => become({ name: "ready", attachment }),
            (error: unknown) => {
              if (controller.signal.aborted) return;
              if (!(error instanceof Problem)) throw error;
              become({ name: "failed", words: refusal(error.reason, error.detail) });
            },
          )
          .finally(() => running.current.delete(key));
        return { key, name: file.name, size: file.size, state: { name: "going" as const } };
      });
      setUploads((now) => [...now, ...started].slice(0, filesMax));
    },
    [client, channel],
  );

  const remove = useCallback((key: number) => {
    running.current.get(key)?.abort();
    setUploads((now) => now.filter((one) => one.key !== key));
  }, []);

  const clear = useCallback(() => setUploads([]), []);

  return { uploads, add, remove, clear };
}
