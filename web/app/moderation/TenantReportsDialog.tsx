/** The open reports about moderators and owners, which the workspace's administrators resolve. */
import { useCallback, useEffect } from "react";

import type { TenantReport } from "../../client/moderation";
import { useClient, useClientState } from "../state/client";
import { useAttempt } from "../state/useAttempt";
import { channelTitle } from "../text/wording";
import { Dialog } from "../ui/Dialog";
import { Failure } from "../ui/Failure";
import { ReportView } from "./ReportView";
import { useReports } from "./useReports";

const peopleMax = 200;

export function TenantReportsDialog({ onClose }: { onClose: () => void }) {
  const client = useClient();
  const { items, failure, more, remove } = useReports(useCallback((cursor?: string) => client.moderation.tenantReports(cursor), [client]));
  const names = useAttempt();
  const { attempt } = names;

  useEffect(() => {
    // The reports name people who may be in no conversation of the caller.
    void attempt(async () => client.people.addNames(await client.people.api.find("", peopleMax)));
  }, [attempt, client]);

  return (
    <Dialog title="Reports about moderators" onClose={onClose}>
      <div className="form">
        <p className="form-note muted">Messages of moderators and owners that were reported. The moderators of a conversation don't see these reports.</p>
        <Failure text={failure ?? names.failure} />
        {items?.length === 0 && <p className="options-none muted">No open reports.</p>}
        <ul className="report-list">
          {items?.map((report) => (
            <Item key={report.id} report={report} onResolved={() => remove(report.id)} />
          ))}
        </ul>
        {more !== null && (
          <button type="button" className="button" onClick={more}>
            Show more
          </button>
        )}
      </div>
    </Dialog>
  );
}

function Item({ report, onResolved }: { report: TenantReport; onResolved: () => void }) {
  const client = useClient();
  const { busy, failure, attempt } = useAttempt();
  const where = useClientState((state) => {
    const channel = state.channels.get(report.channel);
    return channel === undefined ? report.channel : channelTitle(state, channel);
  });
  const resolve = (resolution: "dismissed" | "acted") =>
    attempt(async () => {
      await client.moderation.resolveTenantReport(report.id, resolution);
      onResolved();
    });
  const place = (
    <p className="muted">
      In <bdi>{where}</bdi>
    </p>
  );
  return (
    <ReportView report={report} failure={failure} link={place}>
      <button type="button" className="button small" data-testid="report-dismiss" disabled={busy} onClick={() => void resolve("dismissed")}>
        Dismiss
      </button>
      <button type="button" className="button button-primary small" data-testid="report-acted" disabled={busy} onClick={() => void resolve("acted")}>
        Resolve
      </button>
    </ReportView>
  );
}
