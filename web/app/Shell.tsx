/** Owns the panes: list, conversation, members; on a phone one of them at a time. Leaves each pane to its component. */
import { useEffect, useState } from "react";

import { ConnectionBanner } from "./ConnectionBanner";
import { Conversation } from "./Conversation";
import { useClient, useClientState } from "./hooks";
import { JoinChannel } from "./JoinChannel";
import { NewChannel } from "./NewChannel";
import { QuickSwitcher } from "./QuickSwitcher";
import { goTo, useRoute } from "./route";
import { SearchDialog } from "./SearchDialog";
import { Sidebar } from "./Sidebar";
import { useAttention } from "./useAttention";
import { Welcome } from "./Welcome";

export function Shell() {
  const client = useClient();
  const route = useRoute();
  const listed = useClientState((state) => state.listed);
  const channel = useClientState((state) => (route === null ? undefined : state.channels.get(route)));
  const [dialog, setDialog] = useState<"new" | "switch" | "search" | null>(null);
  const present = channel !== undefined;

  useAttention();

  useEffect(() => {
    void client.directory.loadBlocked();
  }, [client]);

  useEffect(() => {
    client.open(present ? route : null);
  }, [client, route, present]);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (!(event.metaKey || event.ctrlKey) || event.key.toLowerCase() !== "k") return;
      event.preventDefault();
      setDialog("switch");
    };
    const onOnline = () => client.reconnectNow();
    window.addEventListener("keydown", onKey);
    window.addEventListener("online", onOnline);
    return () => {
      window.removeEventListener("keydown", onKey);
      window.removeEventListener("online", onOnline);
    };
  }, [client]);

  return (
    <div className="shell" data-pane={route === null ? "list" : "conversation"}>
      <Sidebar current={route} onNew={() => setDialog("new")} onSwitch={() => setDialog("switch")} />
      <main className="stage">
        {channel !== undefined ? (
          <Conversation key={channel.id} channel={channel} />
        ) : route !== null && listed ? (
          <JoinChannel key={route} id={route} />
        ) : (
          <Welcome onNew={() => setDialog("new")} />
        )}
      </main>
      <ConnectionBanner />
      {dialog === "new" && <NewChannel onClose={() => setDialog(null)} onMade={goTo} />}
      {dialog === "switch" && <QuickSwitcher onClose={() => setDialog(null)} onPick={goTo} onSearch={() => setDialog("search")} />}
      {dialog === "search" && <SearchDialog channel={null} onClose={() => setDialog(null)} />}
    </div>
  );
}
