/** Renders one row of the message list. */
import type { Message } from "../../client";
import type { Row } from "./rows";
import { MessageRow } from "../message/MessageRow";
import { PendingRow } from "../message/PendingRow";
import { dayName } from "../text/wording";

interface Props {
  row: Row;
  editing: boolean;
  tabbable: boolean;
  onEdit: (message: string | null) => void;
  /** The loaded messages by id, and the number of loaded replies to each. */
  byId: ReadonlyMap<string, Message>;
  replies: ReadonlyMap<string, number>;
}

export function RowView({ row, byId, replies, ...rest }: Props) {
  switch (row.type) {
    case "day":
      return (
        <p className="log-day">
          <span>{dayName(row.at)}</span>
        </p>
      );
    case "new":
      return (
        <p className="log-new" data-testid="new-line">
          <span>New</span>
        </p>
      );
    case "message":
      return (
        <MessageRow
          message={row.message}
          headed={row.headed}
          repliesTo={row.message.thread === null ? undefined : byId.get(row.message.thread)}
          replies={replies.get(row.message.id) ?? 0}
          {...rest}
        />
      );
    case "pending":
      return <PendingRow item={row.item} headed={row.headed} />;
  }
}
