"""Accepts or rejects a WebSocket handshake. Everything is decided before 101, so a rejection is an HTTP error.

In order: a foreign `Origin` gets 403, an invalid credential 401, an invalid handshake 400, a session that is denied or cannot
be loaded 401 or 503. Then, in one synchronous step, the connection is put into the hub, its transport is handed to picows, and
`hello` is queued. Only a user with too many connections is closed after the upgrade, because docs/protocol.md has a close code
for that.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

import structlog
from multidict import CIMultiDict
from picows import WSAutoPingStrategy, WSTransport, WSUpgradeResponse, WSUpgradeResponseWithListener

from chassis.context import request, request_id_from
from chassis.errors import HubbubError, Internal, InvalidArgument, NotAllowed, NotAuthenticated, Unavailable
from chassis.metrics import DEFECTS
from gateway.door.opening import Opening
from gateway.http import problems
from gateway.identity.authentication import Authenticator
from gateway.identity.identity import Identity
from gateway.identity.origin import may_use
from gateway.identity.tickets import Tickets
from gateway.metrics import OPENED
from gateway.model import Connection
from gateway.protocol.close_codes import Close
from gateway.rates.shared import SharedRates
from gateway.wire.framing import WEBSOCKET
from gateway.wire.registry import Registry
from gateway.wire.websocket import READ_BYTES, BudgetedProtocol, ConnectionListener, Receive, WebSocketListener, feed

log = structlog.get_logger()
CONNECT_PATH = b"/v1/connect"
HANDSHAKE_SECONDS = 12.0
UNDER_WAY = 5_000
"""Handshakes at one time; more are rejected."""
HANDSHAKE_COST = 5.0
"""Of a user's requests."""
SUBPROTOCOL = "hubbub.v1"
TOKEN_PREFIX = "bearer."  # noqa: S105 - no password
_NO_PROTOCOL = asyncio.Protocol()
_NO_HEADERS: CIMultiDict[str] = CIMultiDict()


class Refused(Exception):
    """The handshake is rejected with this error and these headers."""

    def __init__(self, error: HubbubError, headers: dict[str, str] | None = None) -> None:
        super().__init__(error.reason)
        self.error = error
        self.headers = headers


class Upgrades:
    """Handles handshakes."""

    def __init__(
        self,
        registry: Registry,
        opening: Opening,
        *,
        group: asyncio.TaskGroup,
        authenticator: Authenticator,
        tickets: Tickets,
        rates: SharedRates,
        receive: Receive,
        allowed_origins: frozenset[str],
        accepting: Callable[[], bool],
    ) -> None:
        self._group = group
        self._authenticator = authenticator
        self._tickets = tickets
        self._opening = opening
        self._registry = registry
        self._receive = receive
        self._rates = rates
        self._allowed_origins = allowed_origins
        self._accepting = accepting
        """False before the bus is followed, and during the drain."""
        self.under_way = 0
        """Handshakes that are being decided."""

    def begin(self, transport: asyncio.Transport, target: bytes, headers: list[tuple[bytes, bytes]], rest: bytes) -> None:
        """Handle a handshake. Its transport is paused, and belongs to this object from now on."""
        if self.under_way >= UNDER_WAY or not self._accepting():
            self._refuse(transport, Refused(Unavailable()))
            return
        self.under_way += 1
        self._group.create_task(self._decide(transport, target, headers, rest))

    async def _decide(self, transport: asyncio.Transport, target: bytes, headers: list[tuple[bytes, bytes]], rest: bytes) -> None:
        fields = header_fields(headers)
        try:
            with request(request_id_from(fields.get("x-request-id"))):
                async with asyncio.timeout(HANDSHAKE_SECONDS):
                    await self._open(transport, target, fields, rest)
        except Refused as refused:
            self._refuse(transport, refused)
        except HubbubError as error:
            self._refuse(transport, Refused(error))
        except TimeoutError:
            self._refuse(transport, Refused(Unavailable()))
        except Exception as error:  # the outermost handler of a handshake
            DEFECTS.labels("handshake").inc()
            log.exception("handshake_failed", error=type(error).__name__)
            self._refuse(transport, Refused(Internal()))
        finally:
            self.under_way -= 1

    async def _open(self, transport: asyncio.Transport, target: bytes, fields: Mapping[str, str], rest: bytes) -> None:
        offered = [each.strip() for each in fields.get("sec-websocket-protocol", "").split(",")]
        self._check_origin(fields)
        try:
            identity = await self._identify(target.decode("latin-1"), fields, offered)
        except NotAuthenticated:
            peer = transport.get_extra_info("peername") or ("",)
            self._rates.unauthenticated.take(self._rates.address(peer[0], fields.get("x-forwarded-for", "")))
            raise
        self._rates.request(identity.tenant, identity.user, HANDSHAKE_COST)
        key = handshake_key(fields)
        subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered else None
        await self._opening.open(
            identity, WEBSOCKET, lambda connection: self._hand_over(connection, transport, key, subprotocol, rest)
        )

    def _check_origin(self, fields: Mapping[str, str]) -> None:
        """Reject pages of other sites. A client that sends no `Origin` is not a browser."""
        origin = fields.get("origin")
        if origin is not None and not may_use(origin, fields.get("host", ""), self._allowed_origins):
            raise NotAllowed("This origin may not connect")

    async def _identify(self, target: str, fields: Mapping[str, str], offered: list[str]) -> Identity:
        """By the first of: `Authorization`, the ticket, the sub-protocol list."""
        query = dict(parse_qsl(target.partition("?")[2], keep_blank_values=True))
        if {"token", "access_token", "authorization"} & query.keys():
            raise NotAuthenticated("A token has no place in an address")
        if (authorization := fields.get("authorization")) is not None:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer":
                raise NotAuthenticated
            return await self._authenticator.identify(token.strip())
        if (ticket := query.get("ticket")) is not None:
            return await self._tickets.redeem(ticket)
        for each in offered:
            if each.startswith(TOKEN_PREFIX):
                return await self._authenticator.identify(each.removeprefix(TOKEN_PREFIX))
        raise NotAuthenticated

    def _hand_over(
        self, connection: Connection, transport: asyncio.Transport, key: str, subprotocol: str | None, rest: bytes
    ) -> bool:
        """Make the transport a WebSocket of `connection`; False if the client is gone."""
        if transport.is_closing():
            return False
        connection.transport = transport
        switch_protocols(transport, ConnectionListener(connection, self._registry, self._receive), key, subprotocol, rest)
        connection.file = transport.get_extra_info("socket").fileno()
        return True

    def _refuse(self, transport: asyncio.Transport, refused: Refused) -> None:
        OPENED.labels(str(refused.error.http_status)).inc()
        if transport.is_closing():
            return
        transport.write(problems.raw(refused.error, None, refused.headers))
        transport.close()


def switch_protocols(
    transport: asyncio.Transport, listener: WebSocketListener, key: str, subprotocol: str | None, rest: bytes
) -> None:
    """Answer 101, and make the transport a WebSocket; `rest`, and what follows, is handled after this turn of the loop."""
    OPENED.labels("101").inc()
    extra = {"Sec-WebSocket-Protocol": subprotocol} if subprotocol else None
    response = WSUpgradeResponse.create_101_response(extra)
    protocol = BudgetedProtocol(
        None, None, False, lambda _request: WSUpgradeResponseWithListener(response, listener), _Refusals(listener),
        True, None, False, 0, 0, WSAutoPingStrategy.PING_WHEN_IDLE, False, listener.max_bytes, None, READ_BYTES,
    )  # fmt: skip
    protocol.connection_made(transport)
    feed(protocol, memoryview(_replayed(key)))
    _forget_handshake(protocol.transport)
    transport.set_protocol(_NO_PROTOCOL)  # uvloop keeps the last unbuffered protocol for life; uvicorn's is 5 kB
    transport.set_protocol(protocol)
    transport.set_write_buffer_limits(high=0)  # so that `Connection.paused` is exact
    if rest:
        asyncio.get_running_loop().call_soon(protocol.begin, memoryview(rest))
    else:  # now, so that what the client sends next is not overtaken by its requests on other connections
        transport.resume_reading()


def header_fields(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; repeated ones as one list (RFC 9110, section 5.3)."""
    fields: dict[str, str] = {}
    for name_bytes, value_bytes in headers:
        name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1").strip()
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def handshake_key(fields: Mapping[str, str]) -> str:
    """The client's key, from a valid handshake (RFC 6455, section 4.2.1)."""
    key = fields.get("sec-websocket-key", "")
    if fields.get("sec-websocket-version") != "13":
        raise Refused(InvalidArgument("Only WebSocket version 13 is spoken"), {"Sec-WebSocket-Version": "13"})
    try:
        fit = len(base64.b64decode(key, validate=True)) == 16  # noqa: PLR2004 - the RFC's number
    except (binascii.Error, ValueError):
        fit = False
    if not fit:
        raise Refused(InvalidArgument("Sec-WebSocket-Key is not valid"))
    return key


def _replayed(key: str) -> bytes:
    """A minimal request that picows answers with 101."""
    return (
        "GET / HTTP/1.1\r\nHost: -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


def _forget_handshake(transport: WSTransport) -> None:
    """Free the headers that picows would keep for the socket's life."""
    transport.request.headers = _NO_HEADERS
    transport.response.headers = _NO_HEADERS


class _Refusals:
    """The logger of picows: its only sign that it rejects a frame, before it writes the close frame, is a log call."""

    __slots__ = ("_listener",)

    def __init__(self, listener: WebSocketListener) -> None:
        self._listener = listener

    def isEnabledFor(self, _level: int) -> bool:  # noqa: N802 - the logging module's name
        return False

    def debug(self, *_arguments: object) -> None:
        """Ignore."""

    log = info = warning = debug

    def error(self, _message: str, refusal: object = None, *_arguments: object) -> None:
        """Picows rejects a frame: `refusal` is (close code, explanation)."""
        code = refusal[0] if isinstance(refusal, tuple) and refusal else Close.PROTOCOL_ERROR.code
        self._listener.on_ws_refused(int(code))

    def exception(self, *_arguments: object) -> None:
        """An exception left the listener, which ends the connection."""
        DEFECTS.labels("websocket").inc()
        log.exception("websocket_failed")  # noqa: LOG004 - picows calls this from its handler
        self._listener.on_ws_refused(Close.INTERNAL_ERROR.code)
