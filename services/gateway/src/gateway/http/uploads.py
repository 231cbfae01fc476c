"""/v1/uploads and /v1/media. Media knows uploads, the messages service knows members: who may see what is asked there."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from chassis.errors import BlockedMedia, Conflict, HubbubError, NotAllowed, NotFound
from gateway import convert, shapes
from gateway.connection import Identity
from gateway.http.api import MAX_SEQ, answer, api_of, ask, name_in_path
from gateway.http.channels import UserId
from gateway.http.operation import operation
from hubbub.media.v1.media_pb2 import Upload
from hubbub.media.v1.media_service_pb2 import (
    CompleteUploadRequest,
    CreateUploadRequest,
    GetLinkRequest,
    GetUploadRequest,
)
from hubbub.messages.v1.messages_service_pb2 import GetChannelRequest

_MEDIA_TYPE = r"\A[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*\Z"
_READER = "reader"


class NewUpload(msgspec.Struct, forbid_unknown_fields=True):
    """Body of an announcement."""

    name: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\A[^\x00-\x1f\x7f]+\Z")]
    size: Annotated[int, Meta(ge=1, le=MAX_SEQ)]
    type: Annotated[str, Meta(max_length=127, pattern=_MEDIA_TYPE)]
    channel: UserId
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-fA-F]{64}\Z")] | None = None


class MediaQuery(msgspec.Struct):
    """Which of the upload's pictures; the upload itself where it is absent."""

    variant: Literal["", "thumb"] = ""


@operation({201: shapes.CreatedUpload}, NotAllowed, NotFound)
async def create_upload(request: Request, identity: Identity, body: NewUpload) -> Response:
    """Announce a file; answers how its bytes get where they belong."""
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


@operation({200: shapes.Upload}, Conflict)
async def complete_upload(request: Request, identity: Identity) -> Response:
    """Say that the bytes are there."""
    asked = CompleteUploadRequest(tenant=identity.tenant, user=identity.user, upload=name_in_path(request, "upload"))
    found = await ask(api_of(request).clients.media.CompleteUpload, asked)
    return answer(convert.upload(found.upload))


@operation({200: shapes.Upload})
async def get_upload(request: Request, identity: Identity) -> Response:
    """Where an upload stands: for its owner and the members of its channel."""
    return answer(convert.upload(await _visible(request, identity)))


@operation({302: None}, BlockedMedia, Conflict)
async def get_media(request: Request, identity: Identity, query: MediaQuery) -> Response:
    """Send the caller to a clean upload's bytes, for a few minutes."""
    upload = await _visible(request, identity)
    asked = GetLinkRequest(tenant=identity.tenant, upload=upload.id, variant=query.variant, user=identity.user)
    link = await ask(api_of(request).clients.media.GetLink, asked)
    return Response(status_code=302, headers={"Location": link.url})


async def _visible(request: Request, identity: Identity) -> Upload:
    """The upload of the path, where the caller may know of it."""
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
    """The caller's role in a channel. Raises `NotFound` for who is no member, and where an upload went with its messages."""
    asked = GetChannelRequest(caller=identity.caller, channel=channel, upload=upload)
    found = await ask(api_of(request).clients.messages.GetChannel, asked)
    if not found.channel.role:
        raise NotFound
    return str(found.channel.role)
