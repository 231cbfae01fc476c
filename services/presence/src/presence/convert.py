"""Between protobuf and this service's nouns; checks what comes in.

Leaves meaning to `attachment` and `service`.
"""

from __future__ import annotations

from chassis.errors import InvalidArgument
from chassis.ids import is_tenant
from hubbub.presence.v1 import presence_pb2, presence_service_pb2
from presence.here import STATUSES, Change, Presence, User

_MOST_CHARACTERS = 128


def user_from(message: presence_pb2.UserRef) -> User:
    """Read a user. Raises InvalidArgument."""
    if not is_tenant(message.tenant):
        raise InvalidArgument("tenant must be 1 to 64 of a-z, 0-9 and -")
    if not 1 <= len(message.user) <= _MOST_CHARACTERS:
        raise InvalidArgument("user must have 1 to 128 characters")
    return User(f"{message.tenant}/{message.user}")


def change_from(message: presence_service_pb2.ConnectionChange) -> Change:
    """Read a change. Raises InvalidArgument."""
    if not 1 <= len(message.connection) <= _MOST_CHARACTERS:
        raise InvalidArgument("connection must have 1 to 128 characters")
    if message.status and message.status not in STATUSES:
        raise InvalidArgument("status must be online, away, dnd or empty")
    return Change(user_from(message.user), message.connection, message.status)


def gateway_from(message: presence_service_pb2.AttachRequest) -> str:
    """Read the gateway from an attachment's first message. Raises InvalidArgument."""
    if not 1 <= len(message.lease.gateway) <= _MOST_CHARACTERS:
        raise InvalidArgument("the first message must carry a lease with a gateway of 1 to 128 characters")
    return message.lease.gateway


def presence_to(presence: Presence) -> presence_pb2.Presence:
    """Write a presence."""
    tenant, _, user = presence.user.partition("/")
    message = presence_pb2.Presence(user=presence_pb2.UserRef(tenant=tenant, user=user), status=presence.status)
    if presence.seen_milliseconds is not None:
        message.last_seen.FromMilliseconds(presence.seen_milliseconds)
    return message
