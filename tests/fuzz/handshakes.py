"""Handshakes: the header lines of an upgrade, as read before authentication."""

import base64

from chassis.context import request_id_from
from gateway.door import upgrade
from gateway.identity.origin import may_use

ALLOWED = frozenset({"https://shop.example"})
SEEDS = [
    b"Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nHost: chat.example\nOrigin: https://chat.example",
    b"sec-websocket-version: 13\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=\nhost: a\norigin: https://a.evil",
    b"Host: a\nHost: b\nOrigin: HTTPS://shop.EXAMPLE\nX-Request-Id: abc-1",
    b"Origin: null\nSec-WebSocket-Protocol: hubbub.v1, bearer.x\nX-Request-Id: \xff\r",
]


def check(data: bytes) -> None:
    """Raise if a header line has more effect than it may."""
    pairs = [line.partition(b":") for line in data.split(b"\n")]
    fields = upgrade.header_fields([(name.lower(), value) for name, _, value in pairs])
    assert len(request_id_from(fields.get("x-request-id"))) <= 64
    origin, host = fields.get("origin", ""), fields.get("host", "")
    if may_use(origin, host, ALLOWED):
        assert origin.lower() in {*ALLOWED, f"http://{host}".lower(), f"https://{host}".lower()}, "the origin must be allowed"
        assert origin.partition("://")[2], "the origin must have a host"
    try:
        key = upgrade.handshake_key(fields)
    except upgrade.Refused:
        return
    assert fields["sec-websocket-version"] == "13"
    assert len(base64.b64decode(key)) == 16
    assert upgrade._replayed(key).count(b"\r\n") == 7, "the client must not add a header line"  # noqa: SLF001
