"""The RPCs of presence. `attachment` handles an attached gateway, `leases` keeps the state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from chassis.errors import InvalidArgument
from hubbub.presence.v1 import presence_service_pb2 as messages
from hubbub.presence.v1.presence_service_pb2_grpc import PresenceServiceServicer
from presence import convert, metrics
from presence.attachment import Attachment
from presence.leases import Leases
from presence.watch import Watch

_MAX_USERS = 1_000


class PresenceService(PresenceServiceServicer):
    """hubbub.presence.v1.PresenceService."""

    def __init__(self, leases: Leases, watch: Watch, stopping: asyncio.Event) -> None:
        self._leases = leases
        self._watch = watch
        self._stopping = stopping
        """Set at shutdown. It ends all attachments, so that their gateways attach elsewhere."""

    async def Attach(
        self, request_iterator: AsyncIterator[messages.AttachRequest], context: Any
    ) -> AsyncIterator[messages.AttachResponse]:
        """Keep a gateway attached, and send the presences of the users that it watches."""
        del context
        attachment = Attachment(self._leases, self._watch, self._stopping)
        running = asyncio.create_task(attachment.run(request_iterator), name="attachment")
        try:
            with metrics.ATTACHED.track_inprogress():
                while presences := await attachment.latest.take():
                    yield messages.AttachResponse(presences=map(convert.presence_to, presences))
                    metrics.SENT.inc(len(presences))
            failure = await running
        finally:
            running.cancel()
            await asyncio.wait([running])
        if failure is not None:
            raise failure

    async def GetPresence(self, request: messages.GetPresenceRequest, context: Any) -> messages.GetPresenceResponse:
        """Return the current presences of some users."""
        del context
        if len(request.users) > _MAX_USERS:
            raise InvalidArgument(f"at most {_MAX_USERS} users")
        presences = await self._leases.presences([convert.user_from(user) for user in request.users])
        return messages.GetPresenceResponse(presences=map(convert.presence_to, presences))
