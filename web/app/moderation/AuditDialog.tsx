/** The audit log, oldest first, and its export. Only administrators may read it. */
import { useCallback, useEffect, useState } from "react";

import type { AuditRecord } from "../../client/moderation";
import { auditWords } from "../text/auditWords";
import { Dialog } from "../ui/Dialog";
import { Failure } from "../ui/Failure";
import { useClient, useClientState } from "../state/client";
import { saveAs } from "../browser/saveAs";
import { useAttempt } from "../state/useAttempt";
import { isolated } from "../text/isolation";
import { Sentence } from "../text/Sentence";
import { channelTitle, fullTime, personName, shortTime } from "../text/wording";

const pageSize = 100;
const peopleMax = 200;

export function AuditDialog({ onClose }: { onClose: () => void }) {
  const client = useClient();
  const [records, setRecords] = useState<readonly AuditRecord[] | null>(null);
  const [complete, setComplete] = useState(true);
  const { failure, attempt } = useAttempt();

  const load = useCallback(
    (after: number) =>
      attempt(async () => {
        const { items } = await client.moderation.audit(after, pageSize);
        setRecords((known) => (after === 0 ? items : [...(known ?? []), ...items]));
        setComplete(items.length < pageSize);
      }),
    [attempt, client],
  );

  useEffect(() => {
    void load(0);
    // The records name people who may be in no conversation of the caller.
    void attempt(async () => client.people.addNames(await client.people.api.find("", peopleMax)));
  }, [load, attempt, client]);

  return (
    <Dialog title="Audit log" onClose={onClose} wide>
      <div className="audit">
        <div className="audit-bar">
          <p className="form-note muted">Actions of moderators and administrators. Each record contains the digest of the one before it.</p>
          <button type="button" className="button" data-testid="audit-export" onClick={() => void attempt(async () => saveAs(await client.moderation.auditExport(), "audit.ndjson"))}>
            Export
          </button>
        </div>
        <Failure text={failure} />
        {records?.length === 0 && <p className="options-none muted">No actions yet.</p>}
        {records !== null && records.length > 0 && (
          <div className="audit-scroll" tabIndex={0} role="region" aria-label="Records">
            <table className="audit-table">
              <thead>
                <tr>
                  <th scope="col">No.</th>
                  <th scope="col">When</th>
                  <th scope="col">Who</th>
                  <th scope="col">Action</th>
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
        {!complete && (
          <button type="button" className="button" onClick={() => void load(records?.at(-1)?.number ?? 0)}>
            Load more
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
  const subject = record.subject === null ? "" : isolated(personName({ names }, record.subject));
  const { action, reason } = auditWords(record, subject);
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
      <td className="audit-action" dir="auto">
        <Sentence text={action} />
      </td>
      <td className="audit-where" dir="auto">
        {where}
      </td>
      <td className="audit-reason muted" dir="auto">
        {reason}
      </td>
    </tr>
  );
}
