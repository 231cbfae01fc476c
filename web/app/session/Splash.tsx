/** Shown from sign-in to the first answer of the server, or to its failure. */
import type { Problem } from "../../client";
import { Mark } from "../ui/icons";
import { refusal } from "../text/wording";

interface Props {
  failure: Problem | null;
  onRetry: () => void;
  /** Null where the caller cannot sign out here. */
  onSignOut: (() => void) | null;
}

export function Splash({ failure, onRetry, onSignOut }: Props) {
  return (
    <main className="splash" aria-busy={failure === null}>
      <Mark />
      {failure !== null && (
        <>
          <p role="alert">{refusal(failure)}</p>
          <div className="row">
            <button type="button" className="button button-primary" onClick={onRetry}>
              Try again
            </button>
            {onSignOut !== null && (
              <button type="button" className="button" onClick={onSignOut}>
                Sign out
              </button>
            )}
          </div>
        </>
      )}
    </main>
  );
}
