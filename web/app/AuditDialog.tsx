/** Owns showing the audit log to an administrator, oldest first as it was written, and saving all of it. */
import { useCallback, useEffect, useState } from "react";

import type { AuditRecord } from "../client";
import { auditWords } from "./auditWords";
import { Dialog } from "./Dialog";
import { useClient, useClientState } from "./hooks";
import { saveAs } from "./saveAs";
import { useAttempt } from "./useAttempt";
import { channelTitle, fullTime, personName, shortTime } from "./wording";

const pageSize = 100;
const peopleMax = 200;

export function AuditDialog({ onClose }: { onClose: () => void }) {
  const client = useClient();
  const [records, setRecords] = useState<readonly AuditRecord[] | null>(null);
  const [whole, setWhole] = useState(true);
  const { failure, attempt } = useAttempt();

  const load = useCallback(
    (after: number) =>
      attempt(async () => {
        const { items } = await client.api.audit(after, pageSize);
        setRecords((known) => (after === 0 ? items : [...(known ?? []), ...items]));
        setWhole(items.length < pageSize);
      }),
    [attempt, client],
  );

  useEffect(() => {
    void load(0);
    // Whom it names may be in no conversation that is known here.
    void attempt(async () => client.directory.addNames(await client.api.people("", peopleMax)));
  }, [load, attempt, client]);

  return (
    <Dialog title="Audit log" onClose={onClose} wide>
      <div className="audit">
        <div className="audit-bar">
          <p className="form-note muted">What moderators and administrators did. Each record holds the digest of the one before it.</p>
          <button type="button" className="button" data-testid="audit-export" onClick={() => void attempt(async () => saveAs(await client.api.auditExport(), "audit.ndjson"))}>
            Export
          </button>
        </div>
        <p className="form-error" role="alert">
          {failure}
        </p>
        {records?.length === 0 && <p className="options-none muted">Nothing has been done yet.</p>}
        {records !== null && records.length > 0 && (
          <div className="audit-scroll" tabIndex={0} role="region" aria-label="Records">
            <table className="audit-table">
              <thead>
                <tr>
                  <th scope="col">No.</th>
                  <th scope="col">When</th>
                  <th scope="col">Who</th>
                  <th scope="col">Did what</th>
                  <th scope="col">Where</th>
                  <th scope="col">Reason</th>
                </tr>
              </thead>
              <tbody>
                {records.map((record) => (
                  <RecordRow key={record.number} record={record} />
                ))}
              </tbody>
            </table>
          </div>
        )}
        {!whole && (
          <button type="button" className="button" onClick={() => void load(records?.at(-1)?.number ?? 0)}>
            Show later ones
          </button>
        )}
      </div>
    </Dialog>
  );
}

function RecordRow({ record }: { record: AuditRecord }) {
  const names = useClientState((state) => state.names);
  const where = useClientState((state) => {
    const channel = record.channel === null ? undefined : state.channels.get(record.channel);
    return channel === undefined ? (record.channel?.slice(0, 8) ?? "") : channelTitle(state, channel);
  });
  const subject = record.subject === null ? "" : personName({ names }, record.subject);
  const { done, note } = auditWords(record, subject);
  return (
    <tr data-testid="audit-record" title={record.digest}>
      <td className="audit-number">{record.number}</td>
      <td className="audit-when">
        <time dateTime={record.at} title={fullTime(record.at)}>
          {shortTime(record.at)}
        </time>
      </td>
      <td className="audit-who" dir="auto">
        {personName({ names }, record.actor)}
      </td>
      <td className="audit-done" dir="auto">
        {done}
      </td>
      <td className="audit-where" dir="auto">
        {where}
      </td>
      <td className="audit-note muted" dir="auto">
        {note}
      </td>
    </tr>
  );
}
