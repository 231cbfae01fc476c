/** The layout: list and conversation, one at a time on narrow screens, and the dialogs that belong to neither. */
import { useEffect, useState } from "react";

import { ConnectionBanner } from "./session/ConnectionBanner";
import { Conversation } from "./conversation/Conversation";
import { useClient, useClientState } from "./state/client";
import { JoinChannel } from "./channels/JoinChannel";
import { goTo, useRoute } from "./browser/route";
import { Sidebar } from "./sidebar/Sidebar";
import { useMissingNames, usePresenceWatch, useUnreadTitle } from "./background";
import { lazily } from "./ui/lazily";
import { Welcome } from "./Welcome";

const NewChannel = lazily(() => import("./channels/NewChannel").then((module) => module.NewChannel));
const QuickSwitcher = lazily(() => import("./sidebar/QuickSwitcher").then((module) => module.QuickSwitcher));
const SearchDialog = lazily(() => import("./search/SearchDialog").then((module) => module.SearchDialog));

export function Shell() {
  const client = useClient();
  const route = useRoute();
  const listed = useClientState((state) => state.listed);
  const channel = useClientState((state) => (route === null ? undefined : state.channels.get(route)));
  const [dialog, setDialog] = useState<"new" | "switch" | "search" | null>(null);
  const connected = useClientState((state) => state.connection.name === "open");
  const known = channel !== undefined;

  useMissingNames();
  usePresenceWatch();
  useUnreadTitle();

  useEffect(() => {
    void client.people.loadBlocked();
  }, [client]);

  // Later ones come over the socket.
  useEffect(() => {
    if (connected) void client.people.loadInvitations();
  }, [client, connected]);

  useEffect(() => {
    client.open(known ? route : null);
  }, [client, route, known]);

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
