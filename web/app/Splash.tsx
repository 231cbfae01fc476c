/** Owns the moment between sign-in and the first answer of the server: quiet while short, clear when it failed. */
import type { Problem } from "../client";
import { Mark } from "./icons";
import { refusal } from "./wording";

interface Props {
  failure: Problem | null;
  onRetry: () => void;
  /** Null where there is nothing to sign out of. */
  onSignOut: (() => void) | null;
}

export function Splash({ failure, onRetry, onSignOut }: Props) {
  return (
    <main className="splash" aria-busy={failure === null}>
      <Mark />
      {failure !== null && (
        <>
          <p role="alert">{refusal(failure.reason, failure.detail)}</p>
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
