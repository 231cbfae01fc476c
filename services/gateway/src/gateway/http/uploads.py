"""/v1/uploads and /v1/media. The media service holds uploads; the messages service decides who may see them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from chassis.bots import BotScope
from chassis.errors import BlockedMedia, Conflict, HubbubError, NotAllowed, NotFound
from chassis.proto_enums import to_word
from gateway.http import convert, shapes
from gateway.http.api import MAX_SEQ, answer, api_of, ask, name_in_path
from gateway.http.channels import UserId
from gateway.http.operation import operation
from gateway.identity.identity import Identity
from hubbub.events.v1.events_pb2 import Role
from hubbub.media.v1.media_pb2 import LinkVariant, Upload
from hubbub.media.v1.media_service_pb2 import (
    CompleteUploadRequest,
    CreateUploadRequest,
    GetLinkRequest,
    GetUploadRequest,
)
from hubbub.messages.v1.messages_service_pb2 import GetChannelRequest

_MEDIA_TYPE = r"\A[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*\Z"
_READER = "reader"
_VARIANTS = {"": LinkVariant.LINK_VARIANT_ORIGINAL, "thumb": LinkVariant.LINK_VARIANT_THUMBNAIL}


class NewUpload(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a new upload."""

    name: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\A[^\x00-\x1f\x7f]+\Z")]
    size: Annotated[int, Meta(ge=1, le=MAX_SEQ)]
    type: Annotated[str, Meta(max_length=127, pattern=_MEDIA_TYPE)]
    channel: UserId
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-fA-F]{64}\Z")] | None = None


class MediaQuery(msgspec.Struct):
    """Which rendition of the upload; the original by default."""

    variant: Literal["", "thumb"] = ""


@operation({201: shapes.CreatedUpload}, NotAllowed, NotFound, cost=5, scope=BotScope.UPLOAD)
async def create_upload(request: Request, identity: Identity, body: NewUpload) -> Response:
    """Create an upload; returns how to upload the bytes."""
    if await _role(request, identity, body.channel) == _READER:
        raise NotAllowed
    asked = CreateUploadRequest(
        tenant=identity.tenant,
        user=identity.user,
        channel=body.channel,
        name=body.name,
        size=body.size,
        type=body.type,
        sha256=(body.sha256 or "").lower(),
    )
    made = await ask(api_of(request).clients.media.CreateUpload, asked)
    return answer(convert.created_upload(made.upload, made.form), 201)


@operation({200: shapes.Upload}, Conflict, cost=2, scope=BotScope.UPLOAD)
async def complete_upload(request: Request, identity: Identity) -> Response:
    """Declare that the bytes are uploaded."""
    asked = CompleteUploadRequest(tenant=identity.tenant, user=identity.user, upload=name_in_path(request, "upload"))
    found = await ask(api_of(request).clients.media.CompleteUpload, asked)
    return answer(convert.upload(found.upload))


@operation({200: shapes.Upload}, cost=1, scope=BotScope.UPLOAD)
async def get_upload(request: Request, identity: Identity) -> Response:
    """Get an upload's state; for its owner and the members of its channel."""
    return answer(convert.upload(await _visible(request, identity)))


@operation({302: None}, BlockedMedia, Conflict, cost=1, scope=BotScope.READ)
async def get_media(request: Request, identity: Identity, query: MediaQuery) -> Response:
    """Redirect to the bytes of a clean upload; the link lasts a few minutes."""
    upload = await _visible(request, identity)
    asked = GetLinkRequest(tenant=identity.tenant, upload=upload.id, variant=_VARIANTS[query.variant], user=identity.user)
    link = await ask(api_of(request).clients.media.GetLink, asked)
    return Response(status_code=302, headers={"Location": link.url})


async def _visible(request: Request, identity: Identity) -> Upload:
    """The upload in the path. Raises `NotFound` if the caller may not see it."""
    asked = GetUploadRequest(tenant=identity.tenant, upload=name_in_path(request, "upload"))
    found = await ask(api_of(request).clients.media.GetUpload, asked)
    upload: Upload = found.upload
    try:
        await _role(request, identity, upload.channel, upload.id)
    except HubbubError as error:
        if isinstance(error, NotFound | NotAllowed):
            raise NotFound from None
        raise
    return upload


async def _role(request: Request, identity: Identity, channel: str, upload: str = "") -> str:
    """The caller's role in a channel. Raises `NotFound` without membership, and if `upload` was deleted with its messages."""
    asked = GetChannelRequest(caller=identity.caller, channel=channel, upload=upload)
    found = await ask(api_of(request).clients.messages.GetChannel, asked)
    role = to_word(Role, found.channel.role)
    if not role:
        raise NotFound
    return role
