/** Owns what a link to a channel shows to someone who is not in it: its name and a way in, or that there is nothing. */
import { useEffect, useState } from "react";

import { Problem } from "../client";
import type { ChannelSummary } from "../client";
import { ChannelAvatar } from "./Avatar";
import { useClient } from "./hooks";
import { goTo } from "./route";
import { refusal } from "./wording";

export function JoinChannel({ id }: { id: string }) {
  const client = useClient();
  const [details, setDetails] = useState<ChannelSummary | null>(null);
  const [failure, setFailure] = useState<Problem | null>(null);

  useEffect(() => {
    let current = true;
    const failed = (error: unknown) => {
      if (!(error instanceof Problem)) throw error;
      if (current) setFailure(error);
    };
    client.api.channel(id).then((found) => current && setDetails(found), failed);
    return () => {
      current = false;
    };
  }, [client, id]);

  async function join() {
    try {
      client.addChannel(await client.api.join(id));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setFailure(error);
    }
  }

  return (
    <section className="empty" aria-busy={details === null && failure === null}>
      {details !== null && (
        <>
          <ChannelAvatar kind={details.kind} />
          <h2>{details.name}</h2>
          <p className="muted">{details.topic === null || details.topic === "" ? "A public channel. Join it to read and write." : details.topic}</p>
          <button type="button" className="button button-primary" data-testid="join" onClick={() => void join()}>
            Join channel
          </button>
        </>
      )}
      {failure !== null && (
        <>
          <h2>{failure.reason === "NOT_FOUND" ? "Nothing here" : "That did not work"}</h2>
          <p className="muted" role="alert">
            {failure.reason === "NOT_FOUND" ? "This conversation does not exist, or you are not part of it." : refusal(failure.reason, failure.detail)}
          </p>
          <button type="button" className="button" onClick={() => goTo(null)}>
            Back to your conversations
          </button>
        </>
      )}
    </section>
  );
}
