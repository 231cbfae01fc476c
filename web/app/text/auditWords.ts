/** The words for a record of the audit log. */
import type { AuditRecord } from "../../client/moderation";
import { spanWords } from "./wording";

interface Details {
  reason?: string;
  seconds?: number;
  role?: string;
  former?: string | number;
  resolution?: string;
}

/** Describes the action, and returns the reason that was given. `subject` is the display name of the user concerned. */
export function auditWords({ action, details }: AuditRecord, subject: string): { action: string; reason: string } {
  const known = parsed(details);
  const span = typeof known.seconds === "number" && known.seconds > 0 ? ` for ${spanWords(known.seconds)}` : "";
  return { action: sentence(action, subject, known, span), reason: typeof known.reason === "string" ? known.reason : "" };
}

function sentence(action: string, subject: string, details: Details, span: string): string {
  switch (action) {
    case "member.removed":
      return `Removed ${subject}`;
    case "member.banned":
      return `Banned ${subject}${span}`;
    case "member.unbanned":
      return `Unbanned ${subject}`;
    case "member.silenced":
      return `Silenced ${subject}${span}`;
    case "member.unsilenced":
      return `Ended the silence of ${subject}`;
    case "member.role_changed":
      return `Changed the role of ${subject} from ${details.former ?? ""} to ${details.role ?? ""}`;
    case "message.deleted":
      return `Deleted a message by ${subject}`;
    case "report.resolved":
      return `Closed a report about ${subject}${details.resolution === undefined ? "" : ` (${details.resolution})`}`;
    case "channel.slow_mode_changed":
      return details.seconds === 0 ? "Turned slow mode off" : `Set slow mode to ${spanWords(details.seconds ?? 0)}`;
    case "user.revoked":
      return `Signed ${subject} out everywhere`;
    case "user.blocked":
      return `Blocked ${subject} from the workspace`;
    case "user.unblocked":
      return `Unblocked ${subject} from the workspace`;
    case "user.erased":
      return "Erased a user";
    case "bot.created":
      return `Created the bot ${subject}`;
    case "bot.renamed":
      return `Renamed the bot ${subject}`;
    case "bot.disabled":
      return `Disabled the bot ${subject}`;
    case "bot.enabled":
      return `Enabled the bot ${subject}`;
    case "bot.token_created":
      return `Created a token of the bot ${subject}`;
    case "bot.token_revoked":
      return `Revoked a token of the bot ${subject}`;
    case "hook.created":
      return `Created the webhook ${subject}`;
    case "hook.rotated":
      return `Changed the address of the webhook ${subject}`;
    case "hook.removed":
      return `Removed the webhook ${subject}`;
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
