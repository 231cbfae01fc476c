/** A report: who reported whom and why, the text at that time, and the message with its neighbours as they are now. */
import type { ReactNode } from "react";

import type { Message } from "../../client";
import type { Report } from "../../client/moderation";
import { PersonName } from "../ui/PersonName";
import { Failure } from "../ui/Failure";
import { plainText, sealedWords, shortTime } from "../text/wording";

interface Props {
  report: Report;
  failure: string | null;
  /** Below the context. */
  link?: ReactNode;
  /** The ways to resolve it. */
  children: ReactNode;
}

export function ReportView({ report, failure, link, children }: Props) {
  return (
    <li className="report" data-testid="report">
      <p className="report-head">
        <b>
          <PersonName user={report.reporter} />
        </b>{" "}
        reported{" "}
        <b>
          <PersonName user={report.sender} />
        </b>{" "}
        <time dateTime={report.at}>{shortTime(report.at)}</time>
      </p>
      <p className="report-reason" dir="auto">
        {report.reason}
      </p>
      <blockquote className="quote" dir="auto">
        {report.text === "" && report.context.some((m) => m.id === report.message && m.sealed !== undefined) ? sealedWords : report.text}
      </blockquote>
      <details className="report-context">
        <summary>Show context</summary>
        <ol>
          {report.context.map((message) => (
            <ContextLine key={message.id} message={message} reported={message.id === report.message} />
          ))}
        </ol>
        {link}
      </details>
      <div className="report-foot">{children}</div>
      <Failure text={failure} />
    </li>
  );
}

function ContextLine({ message, reported }: { message: Message; reported: boolean }) {
  return (
    <li data-reported={reported} dir="auto">
      <b>
        <PersonName user={message.sender} />
      </b>{" "}
      <bdi>{plainText(message)}</bdi>
    </li>
  );
}
