/** The line below the last message that says who has read it. Its space is always reserved. */
import { useMemo } from "react";

import type { Channel, Message } from "../../client";
import { useClientState } from "../state/client";
import { isolated } from "../text/isolation";
import { Sentence } from "../text/Sentence";
import { listNames, personName } from "../text/wording";

/** In larger conversations the readers are not shown. */
const membersMax = 20;

export function SeenLine({ channel, last }: { channel: Channel; last: Message | undefined }) {
  const me = useClientState((state) => state.me?.user);
  const names = useClientState((state) => state.names);
  const size = useClientState((state) => state.members.get(channel.id)?.length ?? 0);
  const words = useMemo(() => {
    if (last === undefined || last.sender !== me || last.deleted || size > membersMax) return "";
    const readers = [...channel.receipts].filter(([user, seq]) => user !== me && seq >= last.seq).map(([user]) => isolated(personName({ names }, user)));
    if (readers.length === 0) return "";
    return channel.kind === "direct" ? "Seen" : readers.length === size - 1 && size > 2 ? "Seen by everyone" : `Seen by ${listNames(readers)}`;
  }, [channel.receipts, channel.kind, last, me, names, size]);
  return (
    <p className="seen-line" data-testid="seen">
      <Sentence text={words} />
    </p>
  );
}
