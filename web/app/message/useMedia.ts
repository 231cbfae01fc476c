/** Loads media through `/v1/media` once its box is near the viewport, and frees it when it is no longer shown. */
import { useEffect, useState } from "react";
import type { RefObject } from "react";

import { Problem } from "../../client";
import { useClient } from "../state/client";

export type Media = { name: "loading" } | { name: "ready"; url: string } | { name: "failed" };

/** Waits until `box` is near the viewport; null loads at once. */
export function useMedia(id: string, variant: "thumb" | undefined, box: RefObject<HTMLElement | null> | null): Media {
  const client = useClient();
  const [media, setMedia] = useState<Media>({ name: "loading" });
  const wanted = useNearViewport(box) || box === null;

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

function useNearViewport(box: RefObject<HTMLElement | null> | null): boolean {
  const [near, setNear] = useState(false);
  useEffect(() => {
    const element = box?.current;
    if (!element || near) return;
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) setNear(true);
    }, { rootMargin: "400px" });
    observer.observe(element);
    return () => observer.disconnect();
  }, [box, near]);
  return near;
}
