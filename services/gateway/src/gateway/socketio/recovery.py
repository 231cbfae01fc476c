"""Finds the session that a client wants to go on with: here, at another gateway, or left behind by one that has stopped.

A `pid` begins with the name of the gateway at which its session began. A session that has moved since is found by a note on the
bus; a gateway that stops leaves its sessions there. A session that cannot be found is not recovered.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable

import structlog

from bus.bus import BusUnavailable
from bus.signals import Signals
from chassis.errors import HubbubError, Unavailable
from chassis.grpc_client import call
from gateway.identity.identity import Identity
from gateway.socketio.held import Held, encode
from gateway.socketio.peers import Peers
from hubbub.gateway.v1.gateway_service_pb2 import TakeSessionRequest, TakeSessionResponse

log = structlog.get_logger()
TAKE_SECONDS = 2.0
"""For another gateway to give a session up."""
FIND_SECONDS = 5.0
"""For everything that is asked about one session."""
HOPS = 3
"""Gateways that are asked about one session."""
NOTED_SECONDS = 86_400.0
"""How long a session that has moved is found by its note."""
LEFT_BYTES = 16 * 1024 * 1024
"""What a gateway that stops leaves on the bus at most."""
LEAVE_SECONDS = 5.0
"""For leaving it there."""
AT_ONCE = 100
"""Sessions that are left at one time."""
_SHAPE = re.compile(r"([0-9a-f]{12})\.[0-9a-f]{32}")
_STATE, _NOTE = b"=", b"@"
"""How a value on the bus begins: the state of a session, or the name of the gateway that has it."""


class Recovery:
    """The sessions that can be recovered."""

    def __init__(self, own: str, signals: Signals, peers: Peers) -> None:
        self._own = own
        """This gateway."""
        self._signals = signals
        self._peers = peers
        self.held = Held()
        self.on_claim: Callable[[str, str, str], None] = lambda _pid, _tenant, _user: None
        """Called before a user's session is taken: if it is still open here, it ends, which puts it into `held`."""

    def new_pid(self) -> str:
        """A name for a session that begins."""
        return f"{self._own}.{secrets.token_hex(16)}"

    async def fetch(self, pid: object, identity: Identity) -> str:
        """Bring a session to this gateway's `held`, if it is found. Return its `pid`; empty if it is not found."""
        shape = _SHAPE.fullmatch(pid) if isinstance(pid, str) else None
        if shape is None:
            return ""
        name = shape[0]
        try:
            async with asyncio.timeout(FIND_SECONDS):
                found = self._here(name, identity) or await self._elsewhere(name, shape[1], identity)
        except (BusUnavailable, HubbubError, TimeoutError) as error:
            log.info("session_not_fetched", error=type(error).__name__)
            found = False
        return name if found else ""

    def take(self, request: TakeSessionRequest) -> TakeSessionResponse:
        """Give a session to another gateway."""
        self.on_claim(request.pid, request.tenant, request.user)
        state = self.held.take(request.pid, request.tenant, request.user)
        if state is None:
            return TakeSessionResponse(gateway=self.held.gateway_of(request.pid))
        self.held.moved(request.pid, request.gateway)
        return TakeSessionResponse(state=encode(state))

    async def leave(self) -> None:
        """Leave the sessions that are held on the bus, for the other gateways."""
        left = self.held.newest(LEFT_BYTES)
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                for start in range(0, len(left), AT_ONCE):
                    await asyncio.gather(*(self._leave(*each) for each in left[start : start + AT_ONCE]))
        except (BusUnavailable, TimeoutError):
            log.warning("sessions_not_left", sessions=len(left))
        else:
            log.info("sessions_left", sessions=len(left))

    async def _leave(self, pid: str, state: bytes, seconds: float) -> None:
        await self._signals.put(_name(pid), _STATE + state, seconds)
        if not self.held.drop(pid):  # another gateway has taken it meanwhile
            await self._signals.take(_name(pid))

    def _here(self, pid: str, identity: Identity) -> bool:
        self.on_claim(pid, identity.tenant, identity.user)
        return pid in self.held

    async def _elsewhere(self, pid: str, first: str, identity: Identity) -> bool:
        """Take a session from where its note says, or else from where it began. Raises `BusUnavailable`, `HubbubError`."""
        holder = self.held.gateway_of(pid) or first
        value = await self._signals.take(_name(pid))
        if value is not None and value.startswith(_NOTE):
            holder = value.removeprefix(_NOTE).decode()
        state = _state(value) or await self._ask(holder, pid, identity) or _state(await self._signals.take(_name(pid)))
        if state is None:
            return False
        self.held.put(pid, state)
        if first != self._own:
            await self._signals.put(_name(pid), _NOTE + self._own.encode(), NOTED_SECONDS)
        return True

    async def _ask(self, holder: str, pid: str, identity: Identity) -> bytes | None:
        """Ask a gateway for a session, and the one to which that has given it."""
        request = TakeSessionRequest(pid=pid, tenant=identity.tenant, user=identity.user, gateway=self._own)
        for _hop in range(HOPS):
            peer = await self._peers.find(holder)
            if peer is None:
                return None
            try:
                answer: TakeSessionResponse = await call(peer.TakeSession, request, timeout=TAKE_SECONDS)
            except Unavailable:  # it has just stopped, and may have left the session on the bus
                return None
            if answer.state or not answer.gateway:
                return answer.state or None
            holder = answer.gateway
        return None


def _name(pid: str) -> str:
    return f"session.{pid}"


def _state(value: bytes | None) -> bytes | None:
    return value.removeprefix(_STATE) if value is not None and value.startswith(_STATE) else None
