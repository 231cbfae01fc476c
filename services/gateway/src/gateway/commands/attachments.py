"""Resolves the uploads that a `send` frame names, and keeps that connection's sends in order meanwhile.

While a send waits for the media service, later sends of the same connection queue behind it, up to a bound. Other connections
do not wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from chassis.errors import HubbubError, RateLimited
from chassis.grpc_client import call
from gateway.clients import CALL_SECONDS
from gateway.identity.identity import Identity
from gateway.model import Connection
from gateway.protocol.close_codes import Close
from gateway.protocol.outgoing import Ref, refusal
from gateway.serial_queue import SerialQueue
from gateway.wire.registry import Registry
from hubbub.events.v1.events_pb2 import Attachment
from hubbub.media.v1.media_pb2 import Upload
from hubbub.media.v1.media_service_pb2 import ResolveUploadsRequest
from hubbub.media.v1.media_service_pb2_grpc import MediaServiceStub

WAITING_SENDS = 64
"""Sends of one connection that may wait behind one whose uploads are being resolved."""


async def resolve(media: MediaServiceStub, identity: Identity, channel: str, uploads: Sequence[str]) -> list[Attachment]:
    """The uploads as attachments of a message, in order. Raises `BlockedMedia`, `NotFound`, `Unavailable`."""
    request = ResolveUploadsRequest(tenant=identity.tenant, user=identity.user, channel=channel, uploads=uploads)
    answer = await call(media.ResolveUploads, request, timeout=CALL_SECONDS)
    return [_attached(upload) for upload in answer.uploads]


class Attachments:
    """Sends that wait for their uploads."""

    def __init__(self, registry: Registry, media: MediaServiceStub, group: asyncio.TaskGroup) -> None:
        self._registry = registry
        self._media = media
        self._group = group

    def resolve(
        self,
        connection: Connection,
        channel: str,
        uploads: Sequence[str],
        ref: Ref,
        publish: Callable[[list[Attachment]], None],
    ) -> None:
        """Call `publish` once the uploads are resolved and the sends before this one are published. Raises `RateLimited`."""
        if connection.sending is None:
            fail = partial(self._registry.close, connection, Close.INTERNAL_ERROR)
            connection.sending = SerialQueue(self._group, WAITING_SENDS, fail)
        if not connection.sending.add(partial(self._resolve, connection, channel, uploads, ref, publish)):
            raise RateLimited("Too many sends wait for their attachments")

    async def _resolve(
        self,
        connection: Connection,
        channel: str,
        uploads: Sequence[str],
        ref: Ref,
        publish: Callable[[list[Attachment]], None],
    ) -> None:
        try:
            publish(await resolve(self._media, connection.identity, channel, uploads) if uploads else [])
        except HubbubError as error:
            self._registry.writer.send(connection, refusal(error, ref))


def _attached(found: Upload) -> Attachment:
    return Attachment(id=found.id, name=found.name, size=found.size, type=found.type, width=found.width, height=found.height)
