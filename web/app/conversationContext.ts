/** Owns what the parts of an open conversation share: whose it is to do what, and the ways to its other parts. Stable while that stays the same. */
import { createContext, useContext } from "react";

import type { Kind, Role } from "../client";

export interface ConversationView {
  id: string;
  kind: Kind;
  role: Role;
  /** Shows a message with all that was answered to it. */
  openThread: (message: string) => void;
  /** Scrolls to a message. */
  goToMessage: (seq: number) => void;
}

export const ConversationContext = createContext<ConversationView | null>(null);

export function useConversation(): ConversationView {
  const view = useContext(ConversationContext);
  if (view === null) throw new Error("useConversation outside of ConversationContext");
  return view;
}
