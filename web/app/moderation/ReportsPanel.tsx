/** The open reports of a conversation, each with its context and the ways to resolve it. */
import type { Report } from "../../client/moderation";
import { useConversation } from "../state/conversation";
import { useClient } from "../state/client";
import { CheckIcon } from "../ui/icons";
import { Panel } from "../ui/Panel";
import { useAttempt } from "../state/useAttempt";
import type { Reports } from "./useReports";
import { ReportView } from "./ReportView";

export function ReportsPanel({ reports, onClose }: { reports: Reports; onClose: () => void }) {
  const { items, failure, more } = reports;
  return (
    <Panel title="Reports" note={items?.length} testid="reports" onClose={onClose}>
      {failure !== null && (
        <p className="form-error panel-note" role="alert">
          {failure}
        </p>
      )}
      {items?.length === 0 && (
        <div className="panel-empty muted">
          <CheckIcon />
          <p>No open reports.</p>
        </div>
      )}
      <ul className="panel-list">
        {items?.map((report) => (
          <ReportItem key={report.id} report={report} onResolved={() => reports.remove(report.id)} />
        ))}
      </ul>
      {more !== null && (
        <footer className="panel-foot">
          <button type="button" className="button button-quiet" onClick={more}>
            Show more
          </button>
        </footer>
      )}
    </Panel>
  );
}

function ReportItem({ report, onResolved }: { report: Report; onResolved: () => void }) {
  const client = useClient();
  const { id: channel, goToMessage } = useConversation();
  const { busy, failure, attempt } = useAttempt();
  const message = report.context.find((one) => one.id === report.message);

  async function resolve(resolution: "dismissed" | "acted", act?: () => Promise<unknown>) {
    await attempt(async () => {
      await act?.();
      await client.moderation.resolve(channel, report.id, resolution);
      onResolved();
    });
  }

  const link = message !== undefined && (
    <button type="button" className="link-button" onClick={() => goToMessage(message.seq)}>
      Show in conversation
    </button>
  );
  return (
    <ReportView report={report} failure={failure} link={link}>
      <button type="button" className="button small" data-testid="report-dismiss" disabled={busy} onClick={() => void resolve("dismissed")}>
        Dismiss
      </button>
      {message?.deleted === false ? (
        <button type="button" className="button button-danger small" data-testid="report-delete" disabled={busy} onClick={() => void resolve("acted", () => client.run({ type: "delete", channel, message: report.message }))}>
          Delete message
        </button>
      ) : (
        <button type="button" className="button button-primary small" data-testid="report-acted" disabled={busy} onClick={() => void resolve("acted")}>
          Resolve
        </button>
      )}
    </ReportView>
  );
}
