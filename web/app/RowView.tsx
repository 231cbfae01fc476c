/** Owns choosing the view of a row. */
import type { Row } from "./rows";
import { MessageRow } from "./MessageRow";
import { PendingRow } from "./PendingRow";
import { dayName } from "./wording";

interface Props {
  row: Row;
  moderates: boolean;
  editing: boolean;
  tabbable: boolean;
  onEdit: (message: string | null) => void;
}

export function RowView({ row, ...rest }: Props) {
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
      return <MessageRow message={row.message} headed={row.headed} {...rest} />;
    case "pending":
      return <PendingRow item={row.item} headed={row.headed} />;
  }
}
