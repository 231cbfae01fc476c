"""Converts between protobuf and this service's types, and validates requests."""

from __future__ import annotations

import re

from chassis.errors import InvalidArgument, NotFound, TooLarge
from chassis.ids import is_tenant, is_uuid
from chassis.proto_enums import from_word, requested_word
from hubbub.media.v1 import media_pb2 as nouns
from hubbub.media.v1 import media_service_pb2 as rpc
from media.objects import UploadForm
from media.upload import Announcement, Upload

_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,62}/[a-z0-9][a-z0-9.+-]{0,62}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_USER = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_NAME_CHARACTERS = 255


def announcement(request: rpc.CreateUploadRequest, max_bytes: int) -> Announcement:
    """Parse the announcement of a file. Raises `InvalidArgument`, `TooLarge`, `NotFound`."""
    if not 1 <= len(request.name) <= _MAX_NAME_CHARACTERS or _CONTROL.search(request.name):
        raise InvalidArgument(f"A file name must have 1 to {_MAX_NAME_CHARACTERS} characters and no control characters")
    if request.size < 1:
        raise InvalidArgument("A file must have at least one byte")
    if request.size > max_bytes:
        raise TooLarge(f"A file may have at most {max_bytes} bytes")
    if not _TYPE.fullmatch(request.type):
        raise InvalidArgument("A media type must be type/subtype in lower case, without parameters")
    if request.sha256 and not _SHA256.fullmatch(request.sha256):
        raise InvalidArgument("A SHA-256 must be 64 lower-case hexadecimal digits")
    if not is_tenant(request.tenant) or not _USER.fullmatch(request.user):
        raise InvalidArgument("An upload must have a valid tenant and a user of 1 to 128 characters")
    return Announcement(
        request.tenant,
        upload_id(request.channel),
        request.user,
        request.name,
        request.size,
        request.type,
        request.sha256 or None,
    )


def tenant(value: str) -> str:
    """Validate a tenant. Raises `NotFound` for a malformed one, as for a tenant without uploads."""
    if not is_tenant(value):
        raise NotFound
    return value


def user(value: str) -> str:
    """Validate a user. Raises `NotFound` for a malformed one."""
    if not _USER.fullmatch(value):
        raise NotFound
    return value


def upload_id(value: str) -> str:
    """Validate the id of an upload or channel. Raises `NotFound` for a malformed one."""
    if not is_uuid(value):
        raise NotFound
    return value


def is_thumbnail(variant: nouns.LinkVariant.ValueType) -> bool:
    """Return whether a link leads to the thumbnail. Raises `InvalidArgument` for an unknown variant."""
    return requested_word(nouns.LinkVariant, variant or nouns.LINK_VARIANT_ORIGINAL, "variant") == "thumbnail"


def upload(known: Upload) -> nouns.Upload:
    """Return an upload as protobuf."""
    return nouns.Upload(
        id=known.id,
        tenant=known.tenant,
        channel=known.channel,
        owner=known.owner,
        name=known.name,
        size=known.size,
        type=known.type,
        state=from_word(nouns.UploadState, known.state),
        reason=known.reason,
        width=known.width,
        height=known.height,
        sha256=known.kept_sha256 or "",
    )


def form(made: UploadForm) -> nouns.UploadForm:
    """Return an upload form as protobuf."""
    return nouns.UploadForm(method="POST", url=made.url, fields=made.fields)
