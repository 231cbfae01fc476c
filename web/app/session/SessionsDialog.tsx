/** The browsers in which the caller is signed in, and ending these sessions. */
import { useCallback, useEffect, useState } from "react";

import type { BrowserSession } from "../../client";
import { useClient } from "../state/client";
import { useAttempt } from "../state/useAttempt";
import { browserWords } from "../text/browserWords";
import { fullTime, shortTime } from "../text/wording";
import { Dialog } from "../ui/Dialog";
import { Failure } from "../ui/Failure";

export function SessionsDialog({ onClose }: { onClose: () => void }) {
  const client = useClient();
  const [sessions, setSessions] = useState<readonly BrowserSession[] | null>(null);
  const { busy, failure, attempt } = useAttempt();
  const load = useCallback(async () => setSessions(await client.sessions.all()), [client]);

  useEffect(() => {
    void attempt(load);
  }, [attempt, load]);

  const end = (run: () => Promise<unknown>) =>
    attempt(async () => {
      await run();
      await load();
    });

  const others = sessions?.filter((session) => !session.current) ?? [];
  return (
    <Dialog title="Where you're signed in" onClose={onClose}>
      <div className="form">
        <p className="form-note muted">End the session of a browser that you no longer use or don't recognise.</p>
        {sessions?.length === 0 && <p className="options-none muted">No browser sessions.</p>}
        <ul className="blocked-list">
          {sessions?.map((session) => (
            <li key={session.id} className="member" data-testid="browser-session">
              <span className="member-name" title={session.user_agent}>
                {browserWords(session.user_agent)}
                {session.current && <span className="muted"> this browser</span>}
                <small className="session-times muted">
                  Last used <time dateTime={session.last_seen} title={fullTime(session.last_seen)}>{shortTime(session.last_seen)}</time>, signed in{" "}
                  <time dateTime={session.created_at} title={fullTime(session.created_at)}>{shortTime(session.created_at)}</time>
                </small>
              </span>
              {!session.current && (
                <button type="button" className="button small" data-testid="end-session" aria-label={`Sign out ${browserWords(session.user_agent)}`} disabled={busy} onClick={() => void end(() => client.sessions.end(session.id))}>
                  Sign out
                </button>
              )}
            </li>
          ))}
        </ul>
        <Failure text={failure} />
        {others.length > 1 && (
          <footer className="dialog-foot">
            <button type="button" className="button button-danger" data-testid="end-other-sessions" disabled={busy} onClick={() => void end(() => client.sessions.endOthers())}>
              Sign out everywhere else
            </button>
          </footer>
        )}
      </div>
    </Dialog>
  );
}
