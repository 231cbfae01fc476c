/** Shown until a conversation is opened. */
import { useClientState } from "./state/client";
import { Mark } from "./ui/icons";

export function Welcome({ onNew }: { onNew: () => void }) {
  const empty = useClientState((state) => state.listed && state.channels.size === 0);
  return (
    <section className="empty">
      <Mark />
      <h2>{empty ? "Start your first conversation" : "Pick a conversation"}</h2>
      <p className="muted">
        {empty ? "Message someone directly, or create a group." : "Choose one on the left, or press Ctrl K to search."}
      </p>
      <button type="button" className="button button-primary" onClick={onNew}>
        New conversation
      </button>
    </section>
  );
}
