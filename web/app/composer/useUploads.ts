/** The files attached to the message in the composer. */
import { useCallback, useEffect, useRef, useState } from "react";

import { Problem } from "../../client";
import { upload } from "../../client/upload";
import type { Attachment } from "../../client";
import { useClient } from "../state/client";
import { refusal } from "../text/wording";

export interface Upload {
  key: number;
  name: string;
  size: number;
  state: { name: "uploading" } | { name: "ready"; attachment: Attachment } | { name: "failed"; words: string };
}

/** The most that one message may have. */
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
        const set = (state: Upload["state"]) => setUploads((now) => now.map((one) => (one.key === key ? { ...one, state } : one)));
        upload(client.http, file, channel, { signal: controller.signal })
          .then(
            (attachment) => set({ name: "ready", attachment }),
            (error: unknown) => {
              if (controller.signal.aborted) return;
              if (!(error instanceof Problem)) throw error;
              set({ name: "failed", words: refusal(error) });
            },
          )
          .finally(() => running.current.delete(key));
        return { key, name: file.name, size: file.size, state: { name: "uploading" as const } };
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
