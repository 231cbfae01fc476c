/** Confirms and runs a sanction: silence, removal, ban, sign-out or block from the workspace. */
import type { ReactNode } from "react";

import type { Channel } from "../../client";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import type { Confirmation, ConfirmDialogProps } from "../ui/ConfirmDialog";
import { isolated } from "../text/isolation";
import type { AppClient } from "../state/appClient";
import { useClient } from "../state/client";

export type SanctionName = "silence" | "remove" | "ban" | "revoke" | "expel";

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;
const silences = [10 * minute, hour, day, 7 * day, 30 * day];
const bans = [null, hour, day, 7 * day, 30 * day];

interface Sanction extends Pick<ConfirmDialogProps, "action" | "reason" | "spans"> {
  title: (name: string) => string;
  note: ReactNode;
  run: (client: AppClient, channel: string, user: string, confirmation: Confirmation) => Promise<unknown>;
}

const reason = "Reason (for the audit log)";

const sanctions: Record<SanctionName, Sanction> = {
  silence: {
    title: (name) => `Silence ${name}?`,
    note: "They can read but not post, edit or react until the silence ends, even if they leave and rejoin.",
    action: "Silence",
    reason,
    spans: silences,
    run: (client, channel, user, { reason: given, seconds = minute }) => client.moderation.silence(channel, user, { reason: given, seconds }),
  },
  remove: {
    title: (name) => `Remove ${name}?`,
    note: "They lose access to this conversation. They can rejoin or be added again.",
    action: "Remove",
    run: (client, channel, user) => client.api.removeMember(channel, user),
  },
  ban: {
    title: (name) => `Ban ${name}?`,
    note: "They are removed, and can't rejoin or be added until the ban ends.",
    action: "Ban",
    reason,
    spans: bans,
    run: (client, channel, user, { reason: given, seconds }) => client.moderation.ban(channel, user, { reason: given, ...(seconds === undefined ? {} : { seconds }) }),
  },
  revoke: {
    title: (name) => `Sign ${name} out everywhere?`,
    note: "All their sessions end now, on every device. They can sign in again.",
    action: "Sign out",
    run: (client, _channel, user) => client.moderation.revokeUser(user),
  },
  expel: {
    title: (name) => `Block ${name} from the workspace?`,
    note: "They are signed out everywhere and can't come back until an administrator unblocks them.",
    action: "Block",
    run: (client, _channel, user) => client.moderation.blockUser(user),
  },
};

interface Props {
  name: SanctionName;
  channel: Channel;
  user: string;
  /** Their display name. */
  title: string;
  onClose: () => void;
}

export function SanctionDialog({ name, channel, user, title, onClose }: Props) {
  const client = useClient();
  const sanction = sanctions[name];
  const run = async (confirmation: Confirmation) => {
    await sanction.run(client, channel.id, user, confirmation);
    await client.people.loadMembers(channel.id);
  };
  return (
    <ConfirmDialog {...sanction} title={sanction.title(isolated(title))} danger run={run} onClose={onClose}>
      <p>{sanction.note}</p>
    </ConfirmDialog>
  );
}
