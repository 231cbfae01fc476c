/** A link to a channel that the caller is not a member of: its name and a button to join, or that it does not exist. */
import { useCallback } from "react";

import { goTo } from "../browser/route";
import { useClient } from "../state/client";
import { useAttempt } from "../state/useAttempt";
import { useRequest } from "../state/useRequest";
import { lineOf } from "../text/isolation";
import { refusal } from "../text/wording";
import { ChannelAvatar } from "../ui/Avatar";

export function JoinChannel({ id }: { id: string }) {
  const client = useClient();
  const { answer: channel, problem } = useRequest(useCallback(() => client.api.channel(id), [client, id]));
  const { failure, attempt } = useAttempt();
  const join = () => attempt(async () => client.addChannel(await client.api.join(id)));

  if (problem !== null) {
    const missing = problem.reason === "NOT_FOUND";
    return (
      <section className="empty">
        <h2>{missing ? "Conversation not found" : "Something went wrong"}</h2>
        <p className="muted" role="alert">
          {missing ? "This conversation doesn't exist, or you are not a member." : refusal(problem)}
        </p>
        <button type="button" className="button" onClick={() => goTo(null)}>
          Back to conversations
        </button>
      </section>
    );
  }
  return (
    <section className="empty" aria-busy={channel === null}>
      {channel !== null && (
        <>
          <ChannelAvatar kind={channel.kind} />
          <h2>{lineOf(channel.name ?? "")}</h2>
          <p className="muted">{channel.topic === null || channel.topic === "" ? "This is a public channel. Join it to read and post." : channel.topic}</p>
          <p className="form-error" role="alert">
            {failure}
          </p>
          <button type="button" className="button button-primary" data-testid="join" onClick={() => void join()}>
            Join channel
          </button>
        </>
      )}
    </section>
  );
}
