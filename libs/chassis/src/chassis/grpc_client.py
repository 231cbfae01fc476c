"""Calls other services: adds a deadline, the request id and the caller's token, and raises this project's errors.

channel = open_channel("127.0.0.1:9000", identity)
stub = MessagesServiceStub(channel)
answer = await call(stub.GetChannel, request, timeout=5.0)
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Self

import grpc

from chassis.context import REQUEST_ID_METADATA, current_request_id
from chassis.grpc_server import MAX_MESSAGE_BYTES
from chassis.grpc_tls import TlsFiles, client_channel
from chassis.identity import Identity
from chassis.metrics import RPC_CLIENT_SECONDS
from chassis.rpc_errors import from_call
from chassis.scopes import audience_of

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.lb_policy_name", "round_robin"),
    ("grpc.use_local_subchannel_pool", 1),
]


def open_channel(
    target: str, identity: Identity | None = None, tls: TlsFiles | None = None, *, server_name: str | None = None
) -> grpc.aio.Channel:
    """Open a channel that reconnects within a second and balances calls over all addresses of the service.

    Every call carries a token of `identity`. A call without a token succeeds only where the service does not authenticate.
    With an authority in `tls` the channel speaks TLS, and the service's certificate must name `server_name`, or else the host of
    `target`.
    Raises `OSError` if a file cannot be read.
    """
    options = _OPTIONS if server_name is None else [*_OPTIONS, ("grpc.ssl_target_name_override", server_name)]
    channel: grpc.aio.Channel
    if tls is None or tls.authority is None:
        channel = grpc.aio.insecure_channel(target, options=options)
    else:
        channel = client_channel(tls, lambda credentials: grpc.aio.secure_channel(target, credentials, options=options))
    return _AuthenticatedChannel(channel, identity) if identity else channel


class _AuthenticatedChannel(grpc.aio.Channel):
    """A channel whose calls carry a token. gRPC's client interceptors would create a task per call."""

    def __init__(self, channel: grpc.aio.Channel, identity: Identity) -> None:
        self._channel = channel
        self._identity = identity

    async def __aenter__(self) -> Self:
        await self._channel.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._channel.__aexit__(*raised)  # type: ignore[arg-type]  # passed through

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    def unary_unary(self, method: str, *shape: Any, **shapes: Any) -> Any:
        return _AuthenticatedMethod(self._channel.unary_unary(method, *shape, **shapes), method, self._identity)

    def unary_stream(self, method: str, *shape: Any, **shapes: Any) -> Any:
        return _AuthenticatedMethod(self._channel.unary_stream(method, *shape, **shapes), method, self._identity)

    def stream_unary(self, method: str, *shape: Any, **shapes: Any) -> Any:
        return _AuthenticatedMethod(self._channel.stream_unary(method, *shape, **shapes), method, self._identity)

    def stream_stream(self, method: str, *shape: Any, **shapes: Any) -> Any:
        return _AuthenticatedMethod(self._channel.stream_stream(method, *shape, **shapes), method, self._identity)


class _AuthenticatedMethod:
    """A method whose calls carry a token."""

    def __init__(self, call: Any, method: str, identity: Identity) -> None:
        self._call = call
        self._method = method
        self._audience = audience_of(method)
        self._identity = identity

    def __call__(self, *request: Any, metadata: Sequence[tuple[str, str]] = (), **options: Any) -> Any:
        return self._call(*request, metadata=(*metadata, self._identity.credential(self._audience)), **options)


def metadata() -> tuple[tuple[str, str], ...]:
    """Return the metadata of every call: the current request id."""
    request_id = current_request_id()
    return ((REQUEST_ID_METADATA, request_id),) if request_id else ()


async def call(method: Any, message: Any, *, timeout: float) -> Any:  # noqa: ASYNC109 - the deadline travels to the server
    """Make a unary call within `timeout` seconds. Raises a `HubbubError`; `Unavailable` past the deadline."""
    name, status, started = _name(method), "OK", time.perf_counter()
    try:
        return await method(message, timeout=timeout, metadata=metadata())
    except grpc.aio.AioRpcError as error:
        known = from_call(error)
        status = known.reason
        raise known from error
    finally:
        RPC_CLIENT_SECONDS.labels(name, status).observe(time.perf_counter() - started)


async def stream(method: Any, message: Any, *, timeout: float) -> AsyncGenerator[Any, None]:  # noqa: ASYNC109 - as above
    """Yield the responses of a server-streaming call, all within `timeout` seconds. Raises as `call` does."""
    name, status, started = _name(method), "OK", time.perf_counter()
    try:
        async for answer in method(message, timeout=timeout, metadata=metadata()):
            yield answer
    except grpc.aio.AioRpcError as error:
        known = from_call(error)
        status = known.reason
        raise known from error
    finally:
        RPC_CLIENT_SECONDS.labels(name, status).observe(time.perf_counter() - started)


def _name(method: Any) -> str:
    path = getattr(method, "_method", b"unknown")
    return path.decode() if isinstance(path, bytes) else str(path)
