/** Adapters between the client core and React; they hold no state of their own. */
import { createContext, useContext, useSyncExternalStore } from "react";

import type { ClientState } from "../../client";
import type { AppClient } from "./appClient";

/** How the caller is signed in. The functions are null in the widget, where the host page signs in and out. */
export interface SessionView {
  kind: "login" | "cookie" | "host";
  /** Deletes the caller's data from this browser; asks first if there are unsent messages. */
  signOut: (() => void) | null;
  /** Keeps unsent messages. */
  signInAgain: (() => void) | null;
  /** For actions that need a recent sign-in; keeps the page if it can. */
  proveIdentity: (() => void) | null;
}

export const SessionContext = createContext<SessionView>({ kind: "login", signOut: null, signInAgain: null, proveIdentity: null });

export function useSession(): SessionView {
  return useContext(SessionContext);
}

export const ClientContext = createContext<AppClient | null>(null);

export function useClient(): AppClient {
  const client = useContext(ClientContext);
  if (client === null) throw new Error("useClient outside of ClientContext");
  return client;
}

/** Selects a part of the client's state. `select` must return the same object while that part is unchanged. */
export function useClientState<T>(select: (state: ClientState) => T): T {
  const { store } = useClient();
  return useSyncExternalStore(store.subscribe, () => select(store.get()));
}
