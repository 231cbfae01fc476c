/** Components whose code is loaded in the background once the page is idle, or when they are first rendered. */
import { useEffect, useState } from "react";
import type { ComponentType } from "react";

/** The component renders nothing until its code is there. A failed load is tried again when it is rendered anew. */
export function lazily<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  let loaded: ComponentType<P> | null = null;
  const start = async () => (loaded ??= await load().catch(() => null));
  whenIdle(start);

  return function Lazy(props: P) {
    const [Loaded, setLoaded] = useState(() => loaded);
    useEffect(() => {
      if (Loaded === null) void start().then((component) => setLoaded(() => component));
    }, [Loaded]);
    return Loaded && <Loaded {...props} />;
  };
}

function whenIdle(run: () => unknown): void {
  // Safari has no requestIdleCallback; tests of pure parts have no window.
  if (typeof window === "undefined") return;
  if ("requestIdleCallback" in window) window.requestIdleCallback(run);
  else setTimeout(run, 1_000);
}
