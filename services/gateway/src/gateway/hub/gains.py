"""Verifies that a user has become a member of a channel, and announces it to their connections with `joined`.

An event that is the next one of a known channel carries what `joined` shows, and needs no call. Otherwise the store is asked
whether the membership exists: the event may be a repeat, and the user may have left again.
"""

from __future__ import annotations

import asyncio
from functools import partial

from chassis.backoff import retrying
from chassis.errors import HubbubError, NotAllowed, NotFound
from chassis.grpc_client import call
from gateway.clients import CALL_SECONDS
from gateway.hub.hub import Hub
from gateway.model import Channel, Connection, Gain
from gateway.protocol.close_codes import Close
from gateway.protocol.outgoing import ChannelView, Membership, membership, welcomed
from gateway.supervise import guarded
from gateway.wire.registry import Registry
from hubbub.messages.v1.messages_pb2 import Caller
from hubbub.messages.v1.messages_service_pb2 import GetChannelRequest
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

VERIFY_SECONDS = 20.0


class Gains:
    """Memberships that the hub has learned of."""

    def __init__(self, hub: Hub, registry: Registry, messages: MessagesServiceStub, group: asyncio.TaskGroup) -> None:
        self._hub = hub
        self._close = registry.close
        self._messages = messages
        self._group = group
        hub.on_gain = self.verify

    def verify(self, gain: Gain) -> None:
        """Announce a gained membership, once it is verified."""
        if gain.event is not None:
            self._gained(gain, welcomed(gain.event))
            return
        self._group.create_task(guarded("gain", self._verify(gain), partial(self._give_up, gain)))

    async def _verify(self, gain: Gain) -> None:
        """Ask the store whether the membership exists; if it does not answer, close the newcomers."""
        membership = None
        try:
            async for attempt in retrying(HubbubError, within_seconds=VERIFY_SECONDS):
                with attempt:
                    membership = await self._membership(gain)
        except HubbubError:
            self._give_up(gain)
            return
        if membership is None:
            self._hub.not_gained(gain)
        else:
            self._gained(gain, membership)

    async def _membership(self, gain: Gain) -> Membership | None:
        """The user's membership; None if the user is no member. Raises `HubbubError`."""
        caller = Caller(tenant=gain.account.tenant, user=gain.account.user)
        request = GetChannelRequest(caller=caller, channel=gain.channel.id)
        try:
            answer = await call(self._messages.GetChannel, request, timeout=CALL_SECONDS)
        except (NotFound, NotAllowed):
            return None
        return membership(answer.channel) if answer.channel.role else None

    def _give_up(self, gain: Gain) -> None:
        for connection in tuple(gain.newcomers):
            self._close(connection, Close.RESYNC_NEEDED)
        self._hub.not_gained(gain)

    def _gained(self, gain: Gain, membership: Membership) -> None:
        """Welcome the newcomers. One that is syncing gets `joined` after `synced`, which does not include the channel."""
        self._hub.gained(gain, membership)
        view = membership.view
        for connection in gain.newcomers:
            flow = connection.flow
            if flow is None or not flow.busy:
                self._hub.welcome(gain.channel, connection, view)
            elif not flow.add(partial(self._welcome, gain.channel, connection, view)):
                self._close(connection, Close.RESYNC_NEEDED)

    async def _welcome(self, channel: Channel, connection: Connection, view: ChannelView) -> None:
        self._hub.welcome(channel, connection, view)
