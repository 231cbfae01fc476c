"""Looks up the uploads that a send names, and keeps the order of that socket's sends meanwhile.

While one send waits for the media service, the sends after it wait behind it, a few of them; other sockets do not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from chassis.errors import HubbubError, RateLimited
from chassis.grpc_client import call
from gateway import convert
from gateway.clients import CALL_SECONDS
from gateway.connection import Connection, Identity
from gateway.lane import Lane
from gateway.outbound.frames import Ref, refusal
from gateway.outbound.outbox import Outbox
from hubbub.events.v1.events_pb2 import Attachment
from hubbub.media.v1.media_service_pb2 import ResolveUploadsRequest
from hubbub.media.v1.media_service_pb2_grpc import MediaServiceStub

WAITING_SENDS = 64
"""Sends of one socket that may wait behind one whose uploads are looked up."""


async def resolve(media: MediaServiceStub, identity: Identity, channel: str, uploads: Sequence[str]) -> list[Attachment]:
    """The uploads as a message carries them, in order. Raises `BlockedMedia`, `NotFound`, `Unavailable`."""
    request = ResolveUploadsRequest(tenant=identity.tenant, user=identity.user, channel=channel, uploads=uploads)
    answer = await call(media.ResolveUploads, request, timeout=CALL_SECONDS)
    return [convert.attached(upload) for upload in answer.uploads]


class Attachments:
    """Sends that wait for their uploads."""

    def __init__(
        self,
        outbox: Outbox,
        media: MediaServiceStub,
        group: asyncio.TaskGroup,
        close: Callable[[Connection, int], None],
    ) -> None:
        self._outbox = outbox
        self._media = media
        self._group = group
        self._close = close

    def resolve(
        self,
        connection: Connection,
        channel: str,
        uploads: Sequence[str],
        ref: Ref,
        publish: Callable[[list[Attachment]], None],
    ) -> None:
        """Publish a send once its uploads are known and the sends before it are out. Raises `RateLimited`."""
        if connection.sending is None:
            connection.sending = Lane(self._group, WAITING_SENDS, partial(self._close, connection, 1011))
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
            self._outbox.send(connection, refusal(error, ref))
