"""The gateway's parts between a model of the store and connections in memory.

`Store` is a model of the messages service: tests decide when it reads its logs and when its answer arrives. The tests
of the whole product use the real services.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import msgspec

from chassis.errors import HubbubError, NotFound
from gateway.hub.catchup import CatchUps
from gateway.hub.fill import GapFiller
from gateway.hub.gains import Gains
from gateway.hub.hub import Hub
from gateway.hub.recent import Load
from gateway.identity.identity import Identity
from gateway.model import Account, Connection, is_change, order
from gateway.protocol.outgoing import ChannelView, Membership, Place, started
from gateway.rates.bucket import Bucket
from gateway.rates.shared import SharedRate
from gateway.wire.framing import WEBSOCKET
from gateway.wire.registry import Registry
from hubbub.events.v1.events_pb2 import Event, EventKind, Role, Welcome
from hubbub.messages.v1 import messages_service_pb2 as rpc
from hubbub.messages.v1.messages_pb2 import Channel, ChannelKind
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

TENANT = "t"
DELETED = EventKind.EVENT_KIND_MESSAGE_DELETED
POSTED = EventKind.EVENT_KIND_MESSAGE_POSTED
JOINED = EventKind.EVENT_KIND_MEMBER_JOINED
LEFT = EventKind.EVENT_KIND_MEMBER_LEFT
REMOVED = EventKind.EVENT_KIND_MEMBER_REMOVED
SYNC_EVENTS = 50
T = TypeVar("T")


class MemoryTransport(asyncio.Transport):
    """A transport in memory; `unread` is the number of bytes that the client has not read."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.writes = 0
        self.unread = 0
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.aborted:
            raise RuntimeError("the handler is closed")  # as uvloop's does
        self.writes += 1
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def frames(self) -> list[Any]:
        """Every frame written so far: decoded JSON, or the close code as a number."""
        data, found = bytes(self.written), []
        while data:
            opcode, size, head = data[0], data[1], 2
            if size == 126:
                size, head = int.from_bytes(data[2:4], "big"), 4
            elif size == 127:
                size, head = int.from_bytes(data[2:10], "big"), 10
            payload, data = data[head : head + size], data[head + size :]
            found.append(json.loads(payload) if opcode == 0x81 else int.from_bytes(payload[:2], "big"))
        return found


@dataclass
class Call:
    """A call to the store; the test decides when it is answered."""

    look: Callable[[], list[Any]]
    may_fail: bool = False
    """An error is returned to the caller instead of being retried."""
    answer: asyncio.Future[list[Any]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    seen: list[Any] | None = None

    def snapshot(self) -> None:
        """Let the store read its logs now."""
        if self.seen is None:
            self.seen = self.look()

    def arrive(self, error: HubbubError | None = None) -> None:
        """Let the answer or an error arrive."""
        if self.answer.done():
            return
        if error is not None:
            self.answer.set_exception(error)
            return
        self.snapshot()
        self.answer.set_result(self.seen or [])


class Store:
    """The logs, and the calls about them. With `prompt` each call is answered at once, otherwise by the test."""

    def __init__(self) -> None:
        self.logs: dict[str, list[Event]] = {}
        self.rosters: dict[str, list[Event]] = {}
        """The roster changes of each channel."""
        self.welcomes = False
        """New `member.joined` entries have a `welcome`, as those of the messages service do."""
        self.calls: list[Call] = []
        self.prompt = True
        self.epoch = "1"
        self.first_epoch = True
        self.archived_to: dict[str, int] = {}
        """Where the logs of channels begin."""

    def erase(self, channel: str, seq: int) -> Event:
        """Delete a message: its event, and the text of its entry, as the messages service does."""
        self.rewrite(channel, seq)
        return self.append(channel, DELETED)

    def rewrite(self, channel: str, seq: int) -> None:
        """Erase the text of an entry, as the erasure of a user does."""
        erased = Event()
        erased.CopyFrom(self.logs[channel][seq - 1])
        erased.payload = json.dumps(json.loads(erased.payload) | {"erased": True}).encode()
        self.logs[channel][seq - 1] = erased

    def append(self, channel: str, kind: EventKind.ValueType = POSTED, user: str = "", about: int = 0) -> Event:
        log = self.logs.setdefault(channel, [])
        seq = len(log) + 1
        payload = {"type": "event", "channel": channel, "seq": seq, "kind": EventKind.Name(kind), "user": user}
        event = Event(tenant=TENANT, channel=channel, seq=seq, kind=kind, payload=_encoded(payload), subject=user)
        event.roster = len(self.roster(channel))
        if kind == JOINED and self.welcomes:
            event.welcome.CopyFrom(Welcome(kind="group", floor=seq - 1 if channel.startswith("j") else 0))
        if about:
            event.about, event.hidden_payload = about, _encoded(payload | {"hidden": True})
        log.append(event)
        return event

    def change_roster(self, channel: str, kind: EventKind.ValueType, user: str) -> Event:
        """A user joins or leaves a large channel."""
        roster = self.rosters.setdefault(channel, [])
        head = self.head(channel)
        change = Event(tenant=TENANT, channel=channel, seq=head, kind=kind, subject=user, roster=len(roster) + 1)
        if kind == JOINED:
            change.welcome.CopyFrom(Welcome(kind="group", floor=head if channel.startswith("j") else 0))
        roster.append(change)
        return change

    def roster(self, channel: str) -> list[Event]:
        return self.rosters.get(channel, [])

    def memberships(self, channel: str, user: str) -> list[Event]:
        """What made and ended the user's memberships, in order."""
        events = [*self.logs.get(channel, []), *self.roster(channel)]
        return sorted((event for event in events if event.subject == user), key=order)

    def go_back(self, channel: str, seq: int, epoch: str) -> None:
        """Lose every entry after `seq`: a standby without them was promoted."""
        del self.logs[channel][seq:]
        self.epoch, self.first_epoch = epoch, False

    def is_member(self, channel: str, user: str) -> bool:
        about = self.memberships(channel, user)
        return bool(about) and about[-1].kind == JOINED

    def head(self, channel: str) -> int:
        return len(self.logs.get(channel, []))

    def floor(self, channel: str, user: str) -> int:
        """In a channel whose name starts with `j` (history `joined`), what lies before the user's last joining."""
        (*_, joined) = (event for event in self.memberships(channel, user) if event.kind == JOINED)
        if not channel.startswith("j"):
            return 0
        return joined.seq if is_change(joined) else joined.seq - 1

    def views(self, user: str) -> list[Membership]:
        return [
            Membership(
                ChannelView(channel, "group", "", "member", self.head(channel), 0),
                self.floor(channel, user),
                len(self.roster(channel)),
            )
            for channel in self.logs
            if self.is_member(channel, user)
        ]

    # From here on the methods of the messages service's stub.

    async def CatchUp(self, request: rpc.CatchUpRequest, **_: object) -> AsyncIterator[rpc.CatchUpResponse]:  # noqa: N802
        for answer in await self._ask(lambda: self._catch_up(request), may_fail=True):
            yield answer

    async def FetchEvents(self, request: rpc.FetchEventsRequest, **_: object) -> rpc.FetchEventsResponse:  # noqa: N802
        def look() -> list[rpc.FetchEventsResponse]:
            log, roster = self.logs.get(request.channel, []), self.roster(request.channel)
            found = [self.reread(event) for event in log[request.after : request.after + request.page_size]]
            changes = roster[request.after_roster : request.after_roster + request.page_size]
            return [rpc.FetchEventsResponse(events=found, head=len(log), changes=changes, roster=len(roster), epoch=self.epoch)]

        return (await self._ask(look))[0]  # type: ignore[no-any-return]

    async def FetchRanges(self, request: rpc.FetchRangesRequest, **_: object) -> rpc.FetchRangesResponse:  # noqa: N802
        def look() -> list[rpc.FetchRangesResponse]:
            found = [self.logs.get(each.channel, [])[each.after : each.through] for each in request.ranges]
            return [rpc.FetchRangesResponse(ranges=[rpc.FetchedRange(events=events) for events in found], epoch=self.epoch)]

        return (await self._ask(look, may_fail=True))[0]  # type: ignore[no-any-return]

    async def GetHeads(self, request: rpc.GetHeadsRequest, **_: object) -> rpc.GetHeadsResponse:  # noqa: N802
        def look() -> list[rpc.GetHeadsResponse]:
            heads = [
                rpc.Position(channel=each, seq=self.head(each), roster=len(self.roster(each)))
                for each in request.channels
                if each in self.logs
            ]
            return [rpc.GetHeadsResponse(heads=heads, epoch=self.epoch)]

        return (await self._ask(look))[0]  # type: ignore[no-any-return]

    async def GetChannel(self, request: rpc.GetChannelRequest, **_: object) -> rpc.GetChannelResponse:  # noqa: N802
        def look() -> list[rpc.GetChannelResponse]:
            if not self.is_member(request.channel, request.caller.user):
                return []
            found = Channel(
                id=request.channel,
                kind=ChannelKind.CHANNEL_KIND_GROUP,
                role=Role.ROLE_MEMBER,
                seq=self.head(request.channel),
                floor=self.floor(request.channel, request.caller.user),
                roster=len(self.roster(request.channel)),
            )
            return [rpc.GetChannelResponse(channel=found)]

        answers = await self._ask(look)
        if not answers:
            raise NotFound
        return answers[0]  # type: ignore[no-any-return]

    def reread(self, event: Event) -> Event:
        """An entry as it is published again or fetched: with the roster of now, and without a welcome."""
        again = Event()
        again.CopyFrom(event)
        again.ClearField("welcome")
        again.roster = len(self.roster(event.channel))
        return again

    def _catch_up(self, request: rpc.CatchUpRequest) -> list[rpc.CatchUpResponse]:
        first, rest = rpc.CatchUpResponse(epoch=self.epoch), rpc.CatchUpResponse(epoch=self.epoch)
        for position in request.positions:
            head, user = self.head(position.channel), request.caller.user
            floor = self.floor(position.channel, user) if self.is_member(position.channel, user) else 0
            after = max(position.seq, floor)
            status = rpc.CatchUpStatus(channel=position.channel, status=rpc.RESUME_STATUS_COMPLETE, seq=head, after=after)
            if not self.is_member(position.channel, user):
                status.status, status.seq = rpc.RESUME_STATUS_GONE, 0
            elif position.seq > head or head - position.seq > request.limit:
                status.status = rpc.RESUME_STATUS_RESET
            else:
                rest.events.extend(_for_member(event, floor) for event in self.logs[position.channel][after:])
            first.statuses.append(status)
        return [first, rest]

    async def _ask(self, look: Callable[[], list[Any]], *, may_fail: bool = False) -> list[Any]:
        call = Call(look, may_fail)
        self.calls.append(call)
        if self.prompt:
            call.arrive()
        try:
            return await call.answer
        finally:
            self.calls.remove(call)


def _encoded(payload: dict[str, Any]) -> bytes:
    """Without blanks, as the messages service encodes it."""
    return json.dumps(payload, separators=(",", ":")).encode()


def _for_member(event: Event, floor: int) -> Event:
    """The entry as the messages service renders it for a member with this floor."""
    if not 0 < event.about <= floor:
        return event
    rendered = Event()
    rendered.CopyFrom(event)
    rendered.payload = event.hidden_payload
    return rendered


class World:
    """A model of the store and a gateway's hub, without bus and network."""

    def __init__(self, group: asyncio.TaskGroup, cut_off: Callable[[], bool] = lambda: False) -> None:
        self.store = Store()
        self.registry = Registry("g", 60, cut_off)
        self.hub = Hub(self.registry)
        stub = cast(MessagesServiceStub, self.store)
        self.filler = GapFiller(self.hub, stub, lambda _event: None, group)
        self.now = 0.0
        """The clock of `catch_up_rate`."""
        self.catch_up_rate = SharedRate(1_000, 1_000, "too much", clock=lambda: self.now)
        self.gains = Gains(self.hub, self.registry, stub, group)
        self.catch_ups = CatchUps(self.hub, self.registry, stub, group=group, rate=self.catch_up_rate, sync_events=SYNC_EVENTS)
        self.doubtful: list[Account] = []
        """Users whose sessions `revocation.apply` would open again."""
        self.hub.on_doubt = self.doubtful.append
        self.transports: dict[Connection, MemoryTransport] = {}

    def compare(self, accounts: Iterable[Account]) -> None:
        """Open users' sessions again, as `revocation.apply` does after a loss."""
        for account in accounts:
            with self.hub.recent.load() as load:
                views = self.store.views(account.user)
                self.hub.compare(account, map(self._place, views), load)

    def say(self, channel: str, count: int = 1) -> None:
        """Append posts, which the bus delivers at once."""
        for _ in range(count):
            self.hub.take(self.store.append(channel))

    def join(self, channel: str, *users: str) -> None:
        for user in users:
            self.hub.take(self.store.append(channel, JOINED, user))

    def remove(self, channel: str, user: str) -> None:
        self.hub.take(self.store.append(channel, REMOVED, user))

    def enrol(self, channel: str, user: str) -> None:
        """A user joins a large channel, without an entry."""
        self.hub.take_change(self.store.change_roster(channel, JOINED, user))

    def withdraw(self, channel: str, user: str) -> None:
        """A user leaves a large channel, without an entry."""
        self.hub.take_change(self.store.change_roster(channel, LEFT, user))

    def connect(self, user: str, *, between: Callable[[], object] = lambda: None, token_seconds: float = 3600) -> Connection:
        """Open a connection; `between` is called after its session was read and before the hub opens it."""
        with self.hub.recent.load() as load:
            views = self.store.views(user)
            self.hub.epoch.accept(self.store.epoch, first=self.store.first_epoch)
            between()
            return self.open(user, views, load, token_seconds)[0]

    def open(
        self, user: str, views: list[Membership], load: Load, token_seconds: float = 3600
    ) -> tuple[Connection, list[ChannelView]]:
        """Open a session in the hub; returns the connection and its channels."""
        identity = Identity(TENANT, user, "", (), 0.0, time.time() + token_seconds)
        connection = self.registry.add(identity, WEBSOCKET, Bucket(100, 100))
        transport = self.transports[connection] = MemoryTransport()
        connection.transport = transport
        differing = self.hub.open(connection, map(self._place, views), load)
        listed = msgspec.json.encode([each.view for each in views])
        return connection, msgspec.json.decode(started(listed, differing), type=list[ChannelView])

    async def sync(self, connection: Connection, epoch: str | None = None, /, **positions: int) -> None:
        self.catch_ups.sync(connection, b"1", positions, epoch)  # type: ignore[arg-type]
        await self.settle()

    async def settle(self) -> None:
        """Run every task that can run."""
        for _ in range(30):
            await asyncio.sleep(0)

    def _place(self, membership: Membership) -> Place:
        view = membership.view
        begins = self.store.archived_to.get(view.id, 0)
        return Place(view.id, view.seq, membership.floor, membership.roster, membership.members, begins)

    async def seen(self, connection: Connection) -> list[Any]:
        """Frames sent to the connection, in short: `c:3` for event 3, `left:c`, `joined:c@3`, `synced c=complete@3`, a code."""
        await self.settle()
        return [_short(frame) for frame in self.transports[connection].frames()]


def _short(frame: Any) -> Any:
    match frame:
        case {"type": "event", "channel": channel, "seq": seq}:
            return f"{channel}:{seq}" + (" hidden" if "hidden" in frame else "") + (" erased" if "erased" in frame else "")
        case {"type": "left", "channel": channel}:
            return f"left:{channel}"
        case {"type": "joined", "channel": {"id": channel, "seq": seq}}:
            return f"joined:{channel}@{seq}"
        case {"type": "synced", "channels": channels}:
            each_status = (
                f"{each}={how['status']}" + (f"@{how['seq']}" if how.get("seq") else "") for each, how in channels.items()
            )
            return " ".join(["synced", *sorted(each_status)])
        case {"type": "error", "reason": reason}:
            return f"error:{reason}"
        case _:
            return frame
