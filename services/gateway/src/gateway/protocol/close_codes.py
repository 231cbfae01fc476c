"""The reasons for which a connection ends, with their close codes (RFC 6455, section 7.4, and docs/protocol.md).

4000-4499 ask the client to reconnect; 4500-4999 ask it to stay away. After any other code clients reconnect.
Close codes appear in this module only: the rest of the gateway ends a connection with a member of `Close`.
"""

from __future__ import annotations

from enum import Enum

_STAY_AWAY = range(4500, 5000)
_ALLOWED_FROM_CLIENTS = (range(1000, 1004), range(1007, 1015), range(3000, 5000))
_GOING_AWAY = 1001
"""What a browser sends when its page closes."""


class Close(Enum):
    """Why a connection ends: its close code and a text for people."""

    VANISHED = 0, "connection lost"
    """The transport broke: no close code is sent."""
    BY_CLIENT = 1000, "closed by the client"
    """The client closed; its own code is echoed instead of this one, which stands for none."""
    PROTOCOL_ERROR = 1002, "protocol error"
    NOT_TEXT = 1003, "text frames only"
    NOT_UTF8 = 1007, "not UTF-8"
    FRAME_TOO_LARGE = 1009, "frame too large"
    INTERNAL_ERROR = 1011, "internal error"
    RESTARTING = 1012, "server restarting"
    TOKEN_EXPIRED = 4001, "token expired"
    SLOW_CONSUMER = 4002, "slow consumer"
    NO_HEARTBEAT = 4003, "no heartbeat"
    FLOODING = 4004, "flooding"
    RESYNC_NEEDED = 4005, "resync needed"
    REVOKED = 4501, "access revoked"
    MALFORMED_FRAME = 4502, "malformed frame"
    TOO_MANY_CONNECTIONS = 4503, "too many connections"

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text

    @property
    def reconnect(self) -> bool:
        """Whether the client should come back."""
        return self.code not in _STAY_AWAY

    @classmethod
    def of(cls, code: int) -> Close:
        """The reason with this code; a code that is not listed is a protocol error."""
        return _BY_CODE.get(code, cls.PROTOCOL_ERROR)


_BY_CODE = {reason.code: reason for reason in Close}


def allowed_from_client(code: int) -> bool:
    """Whether a client may close with this code (RFC 6455, section 7.4, and what was registered since)."""
    return any(code in codes for codes in _ALLOWED_FROM_CLIENTS)


def metric_label(code: int) -> str:
    """A close code as a metric label, from a closed set; clients' own codes are `other`."""
    if code == Close.VANISHED.code:
        return "vanished"
    return str(code) if code in _BY_CODE or code == _GOING_AWAY else "other"
