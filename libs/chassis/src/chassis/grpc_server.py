"""Serves a process's RPCs: health checking, reflection outside production, the interceptor, bounded concurrency, a drain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from chassis.callers import Callers
from chassis.config import Address, ProcessConfig
from chassis.interceptors import ServerInterceptor

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Room for the list of a thousand channels, each with a last message of 16 KiB."""
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # A client resolves names anew when a connection ends: without this, pods added later would never be called.
    # Calls in progress, streams included, go on.
    ("grpc.max_connection_age_ms", 300_000),
]


@asynccontextmanager
async def serve(
    config: ProcessConfig,
    listen: Address,
    add_services: Callable[[grpc.aio.Server], None],
    service_names: Sequence[str],
    *,
    callers: Callers | None,
    max_concurrent: int = 1_000,
) -> AsyncIterator[int]:
    """Serve inside the block; yields the port. Leaving says NOT_SERVING, lets calls end within the drain time, then cancels.

    `service_names` are full names as in the protos, e.g. hubbub.messages.v1.MessagesService. `callers` judges who calls; with
    None everybody may, which settings allow on loopback alone. Calls above `max_concurrent`
    are refused with RESOURCE_EXHAUSTED.
    """
    server = grpc.aio.server(interceptors=[ServerInterceptor(callers)], options=_OPTIONS, maximum_concurrent_rpcs=max_concurrent)
    add_services(server)
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if not config.production:
        reflection.enable_server_reflection((*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    port = server.add_insecure_port(str(listen))
    await server.start()
    for name in ("", *service_names):
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    try:
        yield port
    finally:
        await servicer.enter_graceful_shutdown()
        await server.stop(config.drain_seconds)
