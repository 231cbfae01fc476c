/** Adapters between the client core and React; they hold no state of their own. */
import { createContext, useContext, useSyncExternalStore } from "react";

import type { ClientState, HubbubClient } from "../../client";

/** How the caller is signed in. Both functions are null in the widget, where the host page signs in and out. */
export interface SessionView {
  kind: "login" | "cookie" | "host";
  /** Deletes the caller's data from this browser; asks first if there are unsent messages. */
  signOut: (() => void) | null;
  /** Leads to the sign-in screen and keeps unsent messages. */
  signInAgain: (() => void) | null;
}

export const SessionContext = createContext<SessionView>({ kind: "login", signOut: null, signInAgain: null });

export function useSession(): SessionView {
  return useContext(SessionContext);
}

export const ClientContext = createContext<HubbubClient | null>(null);

export function useClient(): HubbubClient {
  const client = useContext(ClientContext);
  if (client === null) throw new Error("useClient outside of ClientContext");
  return client;
}

/** Selects a part of the client's state. `select` must return the same object while that part is unchanged. */
export function useClientState<T>(select: (state: ClientState) => T): T {
  const { store } = useClient();
  return useSyncExternalStore(store.subscribe, () => select(store.get()));
}
