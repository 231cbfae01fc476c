/** What the parts of an open conversation share: its identity, the caller's role, and navigation. Its identity is stable. */
import { createContext, useContext } from "react";

import type { Kind, Role } from "../../client";

export interface ConversationView {
  id: string;
  kind: Kind;
  role: Role;
  /** Opens the thread panel. */
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
