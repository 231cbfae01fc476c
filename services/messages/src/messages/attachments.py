"""Asks the media service what the uploads are that a post names by id. Nothing else about them is believed."""

from __future__ import annotations

from collections.abc import Sequence

from chassis.errors import InvalidArgument, Unavailable
from chassis.grpc_client import call
from hubbub.media.v1.media_service_pb2 import ResolveUploadsRequest
from hubbub.media.v1.media_service_pb2_grpc import MediaServiceStub
from messages.message import Attachment, Caller, ChannelId

CALL_SECONDS = 3.0


async def resolve(media: MediaServiceStub | None, caller: Caller, channel: ChannelId, uploads: Sequence[str]) -> list[Attachment]:
    """The uploads as attachments of a message by `caller`, in order.

    Raises `InvalidArgument` for a repeated id, `BlockedMedia` and `NotFound` as the media service does, and `Unavailable` when it
    does not answer, or is not configured.
    """
    if len(set(uploads)) < len(uploads):
        raise InvalidArgument("An attachment is repeated")
    if media is None:
        raise Unavailable("Attachments cannot be checked: HUBBUB_MEDIA_TARGET is not set")
    request = ResolveUploadsRequest(tenant=caller.tenant, user=caller.user, channel=channel, uploads=uploads)
    found = (await call(media.ResolveUploads, request, timeout=CALL_SECONDS)).uploads
    if [each.id for each in found] != list(uploads):
        raise Unavailable
    return [Attachment(each.id, each.name, each.size, each.type, each.width, each.height) for each in found]
