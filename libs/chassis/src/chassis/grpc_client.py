"""Calls another service: a deadline on every call, the request's id along, errors back as the ones we know.

channel = open_channel("127.0.0.1:9000")
stub = MessagesServiceStub(channel)
answer = await call(stub.GetChannel, request, timeout=5.0)
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any

import grpc

from chassis.context import REQUEST_ID_METADATA, current_request_id
from chassis.grpc_server import MAX_MESSAGE_BYTES
from chassis.metrics import RPC_CLIENT_SECONDS
from chassis.rpc_errors import from_call

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


def open_channel(target: str) -> grpc.aio.Channel:
    """A channel that reconnects within a second of the service's return and spreads calls over all its addresses."""
    return grpc.aio.insecure_channel(target, options=_OPTIONS)


def metadata() -> tuple[tuple[str, str], ...]:
    """What every call carries: the id of the request it is made for."""
    request_id = current_request_id()
    return ((REQUEST_ID_METADATA, request_id),) if request_id else ()


async def call(method: Any, message: Any, *, timeout: float) -> Any:  # noqa: ASYNC109 - the deadline travels to the server
    """Make a unary call within `timeout` seconds; raises a `HubbubError`, `Unavailable` past the deadline."""
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
    """The answers of a server-streaming call, all within `timeout` seconds; raises as `call` does."""
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
