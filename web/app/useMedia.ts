/** Owns fetching media through `/v1/media` once it comes into sight, and letting go of it. */
import { useEffect, useState } from "react";
import type { RefObject } from "react";

import { Problem } from "../client";
import { useClient } from "./hooks";

export type Media = { name: "loading" } | { name: "ready"; url: string } | { name: "failed" };

/** `box` is observed; null when the media is wanted at once. */
export function useMedia(id: string, variant: "thumb" | undefined, box: RefObject<HTMLElement | null> | null): Media {
  const client = useClient();
  const [media, setMedia] = useState<Media>({ name: "loading" });
  const wanted = useSeen(box) || box === null;

  useEffect(() => {
    if (!wanted) return;
    let url: string | null = null;
    let current = true;
    client.api.media(id, variant).then(
      (blob) => {
        if (!current) return;
        url = URL.createObjectURL(blob);
        setMedia({ name: "ready", url });
      },
      (error: unknown) => {
        if (!(error instanceof Problem)) throw error;
        if (current) setMedia({ name: "failed" });
      },
    );
    return () => {
      current = false;
      if (url !== null) URL.revokeObjectURL(url);
    };
  }, [client, id, variant, wanted]);

  return media;
}

function useSeen(box: RefObject<HTMLElement | null> | null): boolean {
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const element = box?.current;
    if (!element || seen) return;
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) setSeen(true);
    }, { rootMargin: "400px" });
    observer.observe(element);
    return () => observer.disconnect();
  }, [box, seen]);
  return seen;
}
