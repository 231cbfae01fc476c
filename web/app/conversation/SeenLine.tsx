/** The line below the last message that says who has read it. Its space is always reserved. */
import { useMemo } from "react";

import type { Channel, Message } from "../../client";
import { useClientState } from "../state/client";
import { isolated } from "../text/isolation";
import { Sentence } from "../text/Sentence";
import { listNames, personName, quantity } from "../text/wording";

/** In larger conversations the readers are counted instead of named. */
const namesMax = 20;

export function SeenLine({ channel, last }: { channel: Channel; last: Message | undefined }) {
  const me = useClientState((state) => state.me?.user);
  const names = useClientState((state) => state.names);
  const size = channel.members ?? 0;
  const words = useMemo(() => {
    if (last === undefined || last.sender !== me || last.deleted) return "";
    const readers = [...channel.receipts].filter(([user, seq]) => user !== me && seq >= last.seq).map(([user]) => isolated(personName({ names }, user)));
    const counted = channel.seen?.seq === last.seq ? channel.seen.count : 0;
    const count = Math.max(readers.length, counted);
    if (count === 0) return "";
    if (channel.kind === "direct") return "Seen";
    if (count >= size - 1 && size > 2) return "Seen by everyone";
    return size > namesMax || count > readers.length ? `Seen by ${quantity(count)}` : `Seen by ${listNames(readers)}`;
  }, [channel.receipts, channel.seen, channel.kind, last, me, names, size]);
  return (
    <p className="seen-line" data-testid="seen">
      <Sentence text={words} />
    </p>
  );
}
