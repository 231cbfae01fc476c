"""Converts between the domain and protobuf, and checks requests."""

from __future__ import annotations

import re

from chassis.errors import InvalidArgument, NotFound, TooLarge
from chassis.ids import is_tenant, is_uuid
from hubbub.media.v1 import media_pb2 as nouns
from hubbub.media.v1 import media_service_pb2 as rpc
from media.objects import Form
from media.upload import Announcement, State, Upload

_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,62}/[a-z0-9][a-z0-9.+-]{0,62}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_USER = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NAME_CHARACTERS = 255
_STATES = {
    State.PENDING: nouns.UPLOAD_STATE_PENDING,
    State.SCANNING: nouns.UPLOAD_STATE_SCANNING,
    State.CLEAN: nouns.UPLOAD_STATE_CLEAN,
    State.BLOCKED: nouns.UPLOAD_STATE_BLOCKED,
    State.FAILED: nouns.UPLOAD_STATE_FAILED,
}


def announcement(request: rpc.CreateUploadRequest, max_bytes: int) -> Announcement:
    """A file's announcement; raises `InvalidArgument`, `TooLarge`, `NotFound`."""
    if not 1 <= len(request.name) <= _NAME_CHARACTERS or _CONTROL.search(request.name):
        raise InvalidArgument(f"A file name has 1 to {_NAME_CHARACTERS} characters, none of them a control character")
    if request.size < 1:
        raise InvalidArgument("A file has at least one byte")
    if request.size > max_bytes:
        raise TooLarge(f"A file has at most {max_bytes} bytes")
    if not _TYPE.fullmatch(request.type):
        raise InvalidArgument("A media type is type/subtype in lower case, without parameters")
    if request.sha256 and not _SHA256.fullmatch(request.sha256):
        raise InvalidArgument("A SHA-256 is 64 characters of lower-case hex")
    if not is_tenant(request.tenant) or not _USER.fullmatch(request.user):
        raise InvalidArgument("An upload has a tenant and an owner")
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
    """A well-formed tenant; raises `NotFound` for any other value, of which no upload can exist."""
    if not is_tenant(value):
        raise NotFound
    return value


def user(value: str) -> str:
    """A well-formed user id; raises `NotFound`."""
    if not _USER.fullmatch(value):
        raise NotFound
    return value


def upload_id(value: str) -> str:
    """A well-formed upload or channel id; raises `NotFound`."""
    if not is_uuid(value):
        raise NotFound
    return value


def upload(known: Upload) -> nouns.Upload:
    """An upload as protobuf."""
    return nouns.Upload(
        id=known.id,
        tenant=known.tenant,
        channel=known.channel,
        owner=known.owner,
        name=known.name,
        size=known.size,
        type=known.type,
        state=_STATES[known.state],
        reason=known.reason,
        width=known.width,
        height=known.height,
        sha256=known.kept_sha256 or "",
    )


def form(made: Form) -> nouns.UploadForm:
    """A form as protobuf."""
    return nouns.UploadForm(method="POST", url=made.url, fields=made.fields)
