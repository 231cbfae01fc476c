/** The line near an action that says why it was refused, with the way to sign in again where that helps. */
import { useSession } from "../state/client";
import { signInAgainWords } from "../text/wording";

/** Always rendered, so that screen readers announce a text that appears. */
export function Failure({ text }: { text: string | null }) {
  const { proveIdentity } = useSession();
  return (
    <p className="form-error" role="alert">
      {text}
      {text === signInAgainWords && proveIdentity !== null && (
        <>
          {" "}
          <button type="button" className="link-button" data-testid="prove-identity" onClick={proveIdentity}>
            Sign in
          </button>
        </>
      )}
    </p>
  );
}
