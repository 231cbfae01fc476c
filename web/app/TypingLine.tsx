/** Owns the line that says who is writing. Its place is always kept, so nothing moves when it appears. */
import { useClientState } from "./hooks";
import { listNames, personName } from "./wording";

export function TypingLine({ channel }: { channel: string }) {
  const words = useClientState((state) => {
    const users = state.typing.get(channel) ?? [];
    if (users.length === 0) return "";
    return `${listNames(users.map((user) => personName(state, user)))} ${users.length === 1 ? "is" : "are"} typing`;
  });
  return (
    <p className="typing-line" data-testid="typing" aria-live="polite">
      {words !== "" && (
        <>
          <span className="typing-dots" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          {words}
        </>
      )}
    </p>
  );
}
