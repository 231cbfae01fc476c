/** Owns the questions before somebody is silenced, removed, banned, blocked or kept out of the workspace, and doing it. */
import type { ReactNode } from "react";

import type { Api, Channel } from "../client";
import { ActionDialog } from "./ActionDialog";
import type { ActionAnswer, ActionProps } from "./ActionDialog";
import { useClient } from "./hooks";

export type SanctionName = "silence" | "remove" | "ban" | "block" | "revoke" | "expel";

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;
const silences = [10 * minute, hour, day, 7 * day, 30 * day];
const bans = [null, hour, day, 7 * day, 30 * day];

interface Question extends Pick<ActionProps, "action" | "reason" | "spans"> {
  title: (name: string) => string;
  note: ReactNode;
  run: (api: Api, where: string, user: string, answer: ActionAnswer) => Promise<unknown>;
}

const reason = { label: "Reason, for the audit log", needed: true };

const questions: Record<Exclude<SanctionName, "block">, Question> = {
  silence: {
    title: (name) => `Silence ${name}?`,
    note: "They go on reading, and cannot write, edit or react until it ends, also after leaving and joining again.",
    action: "Silence",
    reason,
    spans: silences,
    run: (api, where, user, { reason: why, seconds = minute }) => api.silence(where, user, { reason: why, seconds }),
  },
  remove: {
    title: (name) => `Remove ${name}?`,
    note: "They see nothing more of this conversation. They may join or be added again.",
    action: "Remove",
    run: (api, where, user) => api.removeMember(where, user),
  },
  ban: {
    title: (name) => `Ban ${name}?`,
    note: "They are removed, and can neither join nor be added while it lasts.",
    action: "Ban",
    reason,
    spans: bans,
    run: (api, where, user, { reason: why, seconds }) => api.ban(where, user, { reason: why, ...(seconds === undefined ? {} : { seconds }) }),
  },
  revoke: {
    title: (name) => `Sign ${name} out everywhere?`,
    note: "Every sign-in of theirs ends now, on every device. They may sign in again.",
    action: "Sign out",
    run: (api, _where, user) => api.revokeUser(user),
  },
  expel: {
    title: (name) => `Block ${name} from the workspace?`,
    note: "They are signed out everywhere and cannot come back until an administrator lifts it.",
    action: "Block",
    run: (api, _where, user) => api.blockUser(user),
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

export function Sanction({ name, channel, user, title, onClose }: Props) {
  const client = useClient();
  if (name === "block") return <BlockDialog user={user} title={title} onClose={onClose} />;
  const question = questions[name];
  const run = async (answer: ActionAnswer) => {
    await question.run(client.api, channel.id, user, answer);
    await client.directory.loadMembers(channel.id);
  };
  const { action, reason: asked, spans } = question;
  return (
    <ActionDialog title={question.title(title)} action={action} danger run={run} onClose={onClose} {...(asked && { reason: asked })} {...(spans && { spans })}>
      <p>{question.note}</p>
    </ActionDialog>
  );
}

export function BlockDialog({ user, title, onClose }: { user: string; title: string; onClose: () => void }) {
  const client = useClient();
  return (
    <ActionDialog title={`Block ${title}?`} action="Block" danger run={() => client.directory.setBlocked(user, true)} onClose={onClose}>
      <p>Their direct messages no longer reach you. In conversations with more people nothing changes. They are not told.</p>
    </ActionDialog>
  );
}
