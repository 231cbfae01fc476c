/** Announces new messages to screen readers, but not loaded history. */
import { useState } from "react";

import type { Message } from "../../client";
import { useClientState } from "../state/client";
import { personName, plainText } from "../text/wording";

export function Announcer({ last }: { last: Message | undefined }) {
  const me = useClientState((state) => state.me?.user);
  const name = useClientState((state) => (last === undefined ? "" : personName(state, last.sender)));
  const seq = last?.seq ?? 0;
  const [from, setFrom] = useState(0);
  if (from === 0 && seq > 0) setFrom(seq);
  const spoken = last !== undefined && from > 0 && seq > from && last.sender !== me ? `${name}: ${plainText(last)}` : "";
  return (
    <p className="hidden" aria-live="polite">
      {spoken}
    </p>
  );
}
