"""Converts between protobuf and this service's types, and validates requests."""

from __future__ import annotations

from chassis.errors import InvalidArgument
from chassis.ids import is_tenant
from chassis.proto_enums import from_word, to_word
from hubbub.presence.v1 import presence_pb2, presence_service_pb2
from presence.leases import STATUSES, Change, Presence, User

_MAX_CHARACTERS = 128


def user_from(message: presence_pb2.UserRef) -> User:
    """Parse a user. Raises InvalidArgument."""
    if not is_tenant(message.tenant):
        raise InvalidArgument("tenant must have 1 to 64 of the characters a-z, 0-9 and -")
    if not 1 <= len(message.user) <= _MAX_CHARACTERS:
        raise InvalidArgument(f"user must have 1 to {_MAX_CHARACTERS} characters")
    return User(f"{message.tenant}/{message.user}")


def change_from(message: presence_service_pb2.ConnectionChange) -> Change:
    """Parse a change. Raises InvalidArgument."""
    if not 1 <= len(message.connection) <= _MAX_CHARACTERS:
        raise InvalidArgument(f"connection must have 1 to {_MAX_CHARACTERS} characters")
    status = to_word(presence_pb2.Status, message.status)
    if message.status and status not in STATUSES:
        raise InvalidArgument("status must be STATUS_ONLINE, STATUS_AWAY, STATUS_DND or unspecified")
    return Change(user_from(message.user), message.connection, status)


def gateway_from(message: presence_service_pb2.AttachRequest) -> str:
    """Parse the gateway of an attachment's first message. Raises InvalidArgument."""
    if not 1 <= len(message.lease.gateway) <= _MAX_CHARACTERS:
        raise InvalidArgument(f"the first message must carry a lease whose gateway has 1 to {_MAX_CHARACTERS} characters")
    return message.lease.gateway


def presence_to(presence: Presence) -> presence_pb2.Presence:
    """Return a presence as protobuf."""
    tenant, _, user = presence.user.partition("/")
    status = from_word(presence_pb2.Status, presence.status)
    message = presence_pb2.Presence(user=presence_pb2.UserRef(tenant=tenant, user=user), status=status)
    if presence.seen_milliseconds is not None:
        message.last_seen.FromMilliseconds(presence.seen_milliseconds)
    return message
