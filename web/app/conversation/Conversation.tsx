/** An open conversation: header, messages, composer, and one panel beside them. */
import { useCallback, useMemo, useState } from "react";

import { may } from "../../client/policy";
import type { Channel } from "../../client";
import { BlockedNote } from "./BlockedNote";
import { Composer } from "../composer/Composer";
import { ConversationContext } from "../state/conversation";
import type { ConversationView } from "../state/conversation";
import { ConversationHead } from "./ConversationHead";
import type { PanelName } from "./ConversationHead";
import { useClient, useClientState } from "../state/client";
import { MembersPanel } from "../people/MembersPanel";
import { MessageList } from "./MessageList";
import { PinnedPanel } from "./PinnedPanel";
import { ReportsPanel } from "../moderation/ReportsPanel";
import { useTarget } from "../browser/route";
import { ThreadPanel } from "./ThreadPanel";
import { TypingLine } from "./TypingLine";
import { useReports } from "../moderation/useReports";
import { channelTitle } from "../text/wording";

export function Conversation({ channel }: { channel: Channel }) {
  const client = useClient();
  const title = useClientState((state) => channelTitle(state, channel));
  const me = useClientState((state) => state.me?.user);
  const [editing, setEditing] = useState<string | null>(null);
  const [panel, setPanel] = useState<PanelName | null>(null);
  const [thread, setThread] = useState<string | null>(null);
  /** Incremented with each message sent: the list then scrolls to its end. */
  const [sent, setSent] = useState(0);
  const onSent = useCallback(() => setSent((n) => n + 1), []);
  const { id, kind, role } = channel;
  const seesReports = may("see reports", channel);
  const reports = useReports(useMemo(() => (seesReports ? (cursor?: string) => client.moderation.reports(id, cursor) : null), [client, id, seesReports]));

  const [target, setTarget] = useTarget();
  const openThread = useCallback((message: string) => {
    setThread(message);
    setPanel("thread");
  }, []);
  const goToMessage = useCallback(
    (seq: number) => {
      if (window.matchMedia("(max-width: 1023px)").matches) setPanel(null);
      setTarget(seq);
    },
    [setTarget],
  );
  const view = useMemo<ConversationView>(() => ({ id, kind, role, openThread, goToMessage }), [id, kind, role, openThread, goToMessage]);

  const close = () => setPanel(null);
  const toggle = (name: PanelName) => {
    if (name === "reports") reports.reload();
    setPanel(panel === name ? null : name);
  };
  const messages = channel.timeline?.messages ?? [];
  const editLast = () => setEditing(messages.findLast((m) => m.sender === me && !m.deleted && m.sealed === undefined)?.id ?? null);

  return (
    <ConversationContext value={view}>
      <div className="conversation-frame" data-panel={panel ?? "none"}>
        <section className="conversation" aria-label={title}>
          <ConversationHead channel={channel} title={title} panel={panel} reports={reports.items?.length ?? 0} onPanel={toggle} />
          <MessageList channel={channel} title={title} editing={panel === "thread" ? null : editing} onEdit={setEditing} sent={sent} target={target} onTarget={setTarget} />
          <BlockedNote channel={channel} />
          <Composer key={id} channel={channel} title={title} onSent={onSent} onEditLast={editLast} />
          <TypingLine channel={channel} />
        </section>
        {panel === "members" && <MembersPanel channel={channel} onClose={close} />}
        {panel === "pinned" && <PinnedPanel channel={channel} onClose={close} />}
        {panel === "reports" && <ReportsPanel reports={reports} onClose={close} />}
        {panel === "thread" && thread !== null && <ThreadPanel key={thread} channel={channel} root={thread} title={title} onClose={close} />}
      </div>
    </ConversationContext>
  );
}
