/** Owns which channel the address names: `#/c/<id>`, so that back, reload and links work. */
import { useSyncExternalStore } from "react";

const prefix = "#/c/";

function subscribe(listener: () => void): () => void {
  window.addEventListener("hashchange", listener);
  return () => window.removeEventListener("hashchange", listener);
}

function current(): string | null {
  const { hash } = window.location;
  return hash.startsWith(prefix) ? decodeURIComponent(hash.slice(prefix.length)) : null;
}

export function useRoute(): string | null {
  return useSyncExternalStore(subscribe, current);
}

export function goTo(channel: string | null): void {
  window.location.hash = channel === null ? "#/" : prefix + encodeURIComponent(channel);
}

export function linkTo(channel: string): string {
  return new URL(prefix + encodeURIComponent(channel), window.location.href).href;
}
