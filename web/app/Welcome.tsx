/** Owns the stage before a conversation is chosen. */
import { useClientState } from "./hooks";
import { Mark } from "./icons";

export function Welcome({ onNew }: { onNew: () => void }) {
  const empty = useClientState((state) => state.listed && state.channels.size === 0);
  return (
    <section className="empty">
      <Mark />
      <h2>{empty ? "Say the first word" : "Pick a conversation"}</h2>
      <p className="muted">
        {empty ? "Message someone directly, or open a room for several." : "Choose one on the left, or press Ctrl K to find it by name."}
      </p>
      <button type="button" className="button button-primary" onClick={onNew}>
        New conversation
      </button>
    </section>
  );
}
