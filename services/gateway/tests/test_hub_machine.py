"""A state machine: in any order of events, losses, sessions, syncs and answers, clients receive the log.

Each socket has a client that knows only `protocol.md`. Every step checks what a client can check (no gap, the event that the log
has, none after a removal), and the end checks that each client has every event.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from chassis.errors import Unavailable
from gateway.hub.recent import Load
from gateway.model import Connection, is_change
from gateway.protocol.outgoing import Membership
from hubbub.events.v1.events_pb2 import Event
from services.gateway.tests.world import JOINED, LEFT, REMOVED, World

pytestmark = pytest.mark.soak

USERS = ("ann", "bob")
CHANNELS = ("c", "d", "joined")
users, channels = st.sampled_from(USERS), st.sampled_from(CHANNELS)
some = st.integers(0, 1 << 16)


@dataclass
class Client:
    """A client's state, from the frames that it received."""

    user: str
    connection: Connection
    at: dict[str, int]
    """Its channels, with the position of each."""
    asked: list[dict[str, int]] = field(default_factory=list)
    """Syncs that have not been answered."""
    read: int = 0
    """Frames taken so far."""
    flowing: bool = False


@dataclass
class Loading:
    """A session that is being loaded."""

    user: str
    enter: Any
    load: Load
    views: list[Membership] | None = None


class TimelessLoop(asyncio.SelectorEventLoop):
    """A loop whose time advances only when every task waits for it, and then at once: the same example runs alike."""

    def __init__(self) -> None:
        self._seconds = 0.0
        super().__init__(_Impatient(self.pass_time))

    def time(self) -> float:
        return self._seconds

    def pass_time(self, seconds: float | None) -> None:
        self._seconds += seconds or 0.0


class _Impatient(selectors.SelectSelector):
    def __init__(self, pass_time: Callable[[float | None], None]) -> None:
        super().__init__()
        self._pass_time = pass_time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._pass_time(timeout)
        return super().select(0)


class HubMachine(RuleBasedStateMachine):
    """The store, the bus, the gateway and its clients."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = TimelessLoop()
        self.group = asyncio.TaskGroup()
        self.run(self._begin())
        self.flying: list[Event] = []
        """On the bus, not delivered yet."""
        self.clients: list[Client] = []
        self.loading: list[Loading] = []

    async def _begin(self) -> None:
        await self.group.__aenter__()
        self.world = World(self.group)
        self.world.store.prompt = False
        self.world.store.welcomes = True
        for channel in CHANNELS:
            self.world.store.append(channel)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def step(self) -> None:
        """Run every task that can run, and let each client check its frames."""
        self.run(self.world.settle())
        for client in self.clients:
            frames = self.world.transports[client.connection].frames()
            for frame in frames[client.read :]:
                self.take(client, frame)
            client.read = len(frames)

    def take(self, client: Client, frame: Any) -> None:
        match frame:
            case {"type": "event", "channel": channel, "seq": seq, "user": user}:
                assert client.flowing
                starts = channel == "joined" and seq in self.joinings(client) and seq > client.at[channel]
                assert seq == client.at[channel] + 1 or starts, f"{channel}: {seq} after {client.at[channel]}"
                self.check_hidden(client, channel, seq, hidden="hidden" in frame)
                assert user == self.world.store.logs[channel][seq - 1].subject
                assert self.visible(channel, seq, client.user), f"{channel}:{seq} past the fence"
                client.at[channel] = seq
            case {"type": "synced", "channels": synced}:
                asked = client.asked.pop(0)
                assert synced.keys() == asked.keys()
                client.flowing = True
                for channel, how in synced.items():
                    match how["status"]:
                        case "complete":
                            client.at[channel] = asked[channel]
                            assert how["seq"] >= asked[channel]
                        case "reset":
                            client.at[channel] = how["seq"]
                        case _:
                            client.at.pop(channel, None)
            case {"type": "joined", "channel": {"id": channel, "seq": seq}}:
                assert channel not in client.at
                client.at[channel] = seq
            case {"type": "left", "channel": channel}:
                del client.at[channel]
            case {"type": "error"}:
                client.asked.pop(0)
            case int():
                assert frame == 4005

    def check_hidden(self, client: Client, channel: str, seq: int, *, hidden: bool) -> None:
        """An entry about a message before the user's joining shows nothing of it; every other entry is whole."""
        joinings = self.joinings(client, channel)
        about = self.world.store.logs[channel][seq - 1].about
        former = max((each for each in joinings if each <= seq), default=0)
        if 0 < about < former:
            assert hidden, f"{channel}:{seq} shows {about}"
        if hidden:
            assert about < joinings[-1], f"{channel}:{seq} hides {about}"

    def joinings(self, client: Client, channel: str = "joined") -> list[int]:
        """The first entry of each membership of the client's user."""
        joined = [each for each in self.world.store.memberships(channel, client.user) if each.kind == JOINED]
        return [each.seq + 1 if is_change(each) else each.seq for each in joined]

    def visible(self, channel: str, seq: int, user: str) -> bool:
        """A member sees the log; one who was removed sees it up to the removal."""
        memberships = self.world.store.memberships(channel, user)
        return bool(memberships) and (memberships[-1].kind == JOINED or seq <= memberships[-1].seq)

    # The store and the bus.

    def write(self, channel: str, *what: Any) -> None:
        self.flying.append(self.world.store.append(channel, *what))

    @rule(channel=channels)
    def post(self, channel: str) -> None:
        self.write(channel)

    @rule(which=some)
    def change(self, which: int) -> None:
        """Write an entry about an earlier one."""
        self.flying.append(self.world.store.append("joined", about=1 + which % self.world.store.head("joined")))

    @rule(channel=channels, user=users)
    def change_membership(self, channel: str, user: str) -> None:
        self.write(channel, REMOVED if self.world.store.is_member(channel, user) else JOINED, user)

    @rule(channel=channels, user=users)
    def change_roster(self, channel: str, user: str) -> None:
        """Change a membership without an entry."""
        kind = LEFT if self.world.store.is_member(channel, user) else JOINED
        self.flying.append(self.world.store.change_roster(channel, kind, user))

    def give(self, event: Event) -> None:
        """Let the gateway take what the bus brings."""
        (self.world.hub.take_change if is_change(event) else self.world.hub.take)(event)

    @precondition(lambda self: self.flying)
    @rule(many=st.integers(1, 4))
    def deliver(self, many: int) -> None:
        for _ in range(min(many, len(self.flying))):
            self.give(self.flying.pop(0))
        self.step()

    @precondition(lambda self: len(self.flying) > 1)
    @rule(which=some)
    def deliver_out_of_order(self, which: int) -> None:
        self.give(self.flying.pop(which % len(self.flying)))
        self.step()

    @rule(channel=channels, which=some)
    def repeat(self, channel: str, which: int) -> None:
        store = self.world.store
        gone = [event for event in (*store.logs[channel], *store.roster(channel)) if event not in self.flying]
        if gone:
            event = gone[which % len(gone)]
            self.give(event if is_change(event) else store.reread(event))
        self.step()

    @precondition(lambda self: self.flying)
    @rule()
    def lose(self) -> None:
        """The bus loses entries of one channel and reports it."""
        lost = self.flying[0].channel
        self.flying = [event for event in self.flying if event.channel != lost]
        self.audit()

    def audit(self) -> None:
        for channel in list(self.world.hub.channels.values()):
            self.world.hub.expect(channel, self.world.store.head(channel.id), len(self.world.store.roster(channel.id)))
        self.world.hub.recent.losses += 1  # a session that was being loaded during a loss is compared again
        self.world.compare(list(self.world.registry.accounts.values()))
        self.step()

    @rule()
    def wait(self) -> None:
        """Let retries run, and compare doubtful sessions."""
        self.run(asyncio.sleep(1.0))
        doubtful, self.world.doubtful[:] = list(self.world.doubtful), []
        self.world.compare(doubtful)
        self.step()

    # Clients.

    @precondition(lambda self: len(self.loading) < 3)
    @rule(user=users)
    def ask_for_session(self, user: str) -> None:
        enter = self.world.hub.recent.load()
        self.loading.append(Loading(user, enter, enter.__enter__()))

    @precondition(lambda self: self.loading)
    @rule(which=some)
    def read_session(self, which: int) -> None:
        loading = self.loading[which % len(self.loading)]
        loading.views = loading.views or self.world.store.views(loading.user)

    @precondition(lambda self: self.loading)
    @rule(which=some)
    def connect(self, which: int) -> None:
        loading = self.loading.pop(which % len(self.loading))
        if loading.load.expired:
            return
        views = loading.views if loading.views is not None else self.world.store.views(loading.user)
        self.run(self._connect(loading, views))
        if loading.load.lossy:
            self.audit()
        self.step()

    async def _connect(self, loading: Loading, views: list[Membership]) -> None:
        connection, opened = self.world.open(loading.user, views, loading.load)
        loading.enter.__exit__(None, None, None)
        self.clients.append(Client(loading.user, connection, {view.id: view.seq for view in opened}))

    def open_clients(self) -> list[Client]:
        return [client for client in self.clients if not client.connection.closing]

    @precondition(lambda self: self.open_clients())
    @rule(which=some, back=st.dictionaries(channels, st.integers(-3, 60)))
    def sync(self, which: int, back: dict[str, int]) -> None:
        """Sync some channels from an earlier position, or from one beyond the head."""
        clients = self.open_clients()
        client = clients[which % len(clients)]
        if len(client.asked) > 4:
            return
        positions = {channel: max(0, client.at.get(channel, 5) - many) for channel, many in back.items()}
        client.asked.append(positions)
        self.world.catch_ups.sync(client.connection, b"1", positions)  # type: ignore[arg-type]
        self.step()

    @precondition(lambda self: self.open_clients())
    @rule(which=some)
    def disconnect(self, which: int) -> None:
        clients = self.open_clients()
        self.world.registry.gone(clients[which % len(clients)].connection)
        self.step()

    # When the store reads, and when it answers.

    @precondition(lambda self: self.world.store.calls)
    @rule(which=some)
    def look(self, which: int) -> None:
        self.world.store.calls[which % len(self.world.store.calls)].snapshot()

    @precondition(lambda self: self.world.store.calls)
    @rule(which=some, fails=st.sampled_from((False, False, False, True)))
    def answer(self, which: int, fails: bool) -> None:
        call = self.world.store.calls[which % len(self.world.store.calls)]
        call.arrive(Unavailable() if fails and call.may_fail else None)
        self.step()

    def teardown(self) -> None:
        """Deliver everything, and check that every client has every event."""
        try:
            self.arrive()
            self.check()
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.run(self.world.settle())
            self.loop.close()

    def arrive(self) -> None:
        self.world.store.prompt = True
        for event in self.flying:
            self.give(event)
        for _ in range(20):
            for call in list(self.world.store.calls):
                call.arrive()
            self.step()
        self.wait()

    def check(self) -> None:
        for client in self.open_clients():
            mine = {channel for channel in CHANNELS if self.world.store.is_member(channel, client.user)}
            assert client.at.keys() == mine
            if client.flowing:
                for channel in mine:
                    head = self.world.store.head(channel)
                    nothing_since = channel == "joined" and head < self.joinings(client)[-1]  # of what the user may read
                    assert client.at[channel] == head or (nothing_since and client.at[channel] < head)
        for client in self.open_clients():
            self.world.registry.gone(client.connection)
        assert not self.world.hub.channels, "the last one out leaves nothing behind"


TestHubMachine = HubMachine.TestCase
TestHubMachine.settings = settings(
    max_examples=5 * settings().max_examples,  # an example takes a hundredth of a second
    stateful_step_count=60,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
