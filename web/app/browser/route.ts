/** The route in the address: a channel, `#/c/<id>`, and optionally a message in it, `#/c/<id>/<seq>`. */
import { useCallback, useSyncExternalStore } from "react";

const prefix = "#/c/";

function subscribe(listener: () => void): () => void {
  window.addEventListener("hashchange", listener);
  return () => window.removeEventListener("hashchange", listener);
}

interface Place {
  channel: string | null;
  seq: number | null;
}

/** Any address is a place: what is no channel of the caller is shown as one that was not found. */
export function placeOf(hash: string): Place {
  const [id = "", target = ""] = hash.startsWith(prefix) ? hash.slice(prefix.length).split("/") : [];
  const seq = /^[1-9]\d*$/u.test(target) ? Number(target) : Number.NaN;
  return { channel: id === "" ? null : decoded(id), seq: Number.isSafeInteger(seq) ? seq : null };
}

/** Undecodable text as it is. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function currentChannel(): string | null {
  return placeOf(window.location.hash).channel;
}

function currentTarget(): number | null {
  return placeOf(window.location.hash).seq;
}

export function useRoute(): string | null {
  return useSyncExternalStore(subscribe, currentChannel);
}

/** The number of the message to scroll to, and a setter; null once it has been shown. */
export function useTarget(): [number | null, (seq: number | null) => void] {
  const target = useSyncExternalStore(subscribe, currentTarget);
  const set = useCallback((seq: number | null) => {
    const channel = currentChannel();
    if (channel === null || seq === currentTarget()) return;
    window.history.replaceState(null, "", address(channel, seq));
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  }, []);
  return [target, set];
}

export function goTo(channel: string | null, seq: number | null = null): void {
  window.location.hash = channel === null ? "#/" : address(channel, seq);
}

export function linkTo(channel: string): string {
  return new URL(address(channel, null), window.location.href).href;
}

function address(channel: string, seq: number | null): string {
  return prefix + encodeURIComponent(channel) + (seq === null ? "" : `/${seq}`);
}
