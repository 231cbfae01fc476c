"""Serves a process's RPCs with health checks, the interceptor, bounded concurrency and draining."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import grpc
from google.protobuf import descriptor_pool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from chassis.callers import Callers
from chassis.config import Address, ConfigError, ProcessConfig
from chassis.grpc_tls import TlsFiles, server_credentials
from chassis.interceptors import ServerInterceptor
from chassis.scopes import NEEDED

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Fits a list of 1,000 channels, each with a last message of 16 KiB."""
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # Clients resolve names again when a connection ends. Without this limit, pods added later would never be called.
    # Calls in progress, including streams, continue.
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
    """Serve inside the block; yield the port. On exit, report NOT_SERVING, wait up to the drain time, then cancel all calls.

    `service_names` are full names as in the protos, e.g. hubbub.messages.v1.MessagesService. `callers` authenticates the calling
    services; with None, which the settings allow on loopback only, any process may call. Calls beyond `max_concurrent` are
    refused with RESOURCE_EXHAUSTED. With a certificate the port speaks TLS only. Raises `ConfigError` for a service with an RPC
    that has no scope and no cost.
    """
    require_declared(service_names)
    server = grpc.aio.server(interceptors=[ServerInterceptor(callers)], options=_OPTIONS, maximum_concurrent_rpcs=max_concurrent)
    add_services(server)
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if not config.production:
        reflection.enable_server_reflection((*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    files = TlsFiles.of(config)
    if files.certificate is None:
        port = server.add_insecure_port(str(listen))
    else:
        port = server.add_secure_port(str(listen), server_credentials(files))
    await server.start()
    for name in ("", *service_names):
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    try:
        yield port
    finally:
        await servicer.enter_graceful_shutdown()
        await server.stop(config.drain_seconds)


def require_declared(service_names: Iterable[str]) -> None:
    """Raise `ConfigError` for an RPC that `scopes` does not list."""
    services = map(descriptor_pool.Default().FindServiceByName, service_names)
    paths = [f"/{service.full_name}/{rpc.name}" for service in services for rpc in service.methods]
    if unlisted := [path for path in paths if path not in NEEDED]:
        raise ConfigError([f"{path} has neither a scope nor a cost" for path in unlisted])
