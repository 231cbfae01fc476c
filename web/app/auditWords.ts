/** Owns how a record of the audit log is said. */
import type { AuditRecord } from "../client";
import { spanWords } from "./wording";

interface Details {
  reason?: string;
  seconds?: number;
  role?: string;
  former?: string | number;
  resolution?: string;
}

/** What was done, and the reason given for it. `subject` is the display name of whom it was done to. */
export function auditWords({ action, details }: AuditRecord, subject: string): { done: string; note: string } {
  const said = parsed(details);
  const span = typeof said.seconds === "number" && said.seconds > 0 ? ` for ${spanWords(said.seconds)}` : "";
  return { done: sentence(action, subject, said, span), note: typeof said.reason === "string" ? said.reason : "" };
}

function sentence(action: string, subject: string, said: Details, span: string): string {
  switch (action) {
    case "member.removed":
      return `Removed ${subject}`;
    case "member.banned":
      return `Banned ${subject}${span}`;
    case "member.unbanned":
      return `Lifted the ban of ${subject}`;
    case "member.silenced":
      return `Silenced ${subject}${span}`;
    case "member.unsilenced":
      return `Lifted the silence of ${subject}`;
    case "member.role_changed":
      return `Made ${subject} ${said.role ?? ""}, who was ${said.former ?? ""}`;
    case "message.deleted":
      return `Deleted a message of ${subject}`;
    case "report.resolved":
      return `Closed a report about ${subject}${said.resolution === undefined ? "" : ` (${said.resolution})`}`;
    case "channel.slow_mode_changed":
      return said.seconds === 0 ? "Turned slow mode off" : `Set slow mode to ${spanWords(said.seconds ?? 0)}`;
    case "user.revoked":
      return `Signed ${subject} out everywhere`;
    case "user.blocked":
      return `Blocked ${subject} from the workspace`;
    case "user.unblocked":
      return `Let ${subject} back into the workspace`;
    default:
      return `${action} ${subject}`;
  }
}

function parsed(details: string): Details {
  try {
    const found: unknown = JSON.parse(details);
    return typeof found === "object" && found !== null ? found : {};
  } catch {
    return {};
  }
}
