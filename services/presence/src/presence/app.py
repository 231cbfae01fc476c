"""Composes a presence process."""

from __future__ import annotations

import asyncio

import structlog

from chassis import grpc_server
from chassis.callers import callers_of
from chassis.lifecycle import Lifecycle, keep_ready
from hubbub.presence.v1.presence_service_pb2_grpc import add_PresenceServiceServicer_to_server
from presence import sweeper
from presence.config import Config
from presence.leases import Leases, connect
from presence.service import PresenceService
from presence.watch import Watch

SERVICE = "hubbub.presence.v1.PresenceService"

_log = structlog.get_logger(__name__)


async def main(config: Config, lifecycle: Lifecycle) -> None:
    """Serve until stopping."""
    async with connect(config.redis_url) as client, asyncio.TaskGroup() as tasks:
        leases = Leases(client)
        watch = Watch(client, leases)
        running = [tasks.create_task(watch.run()), tasks.create_task(sweeper.run(leases))]
        tasks.create_task(keep_ready(lifecycle, {"redis": leases.check}))
        service = PresenceService(leases, watch, lifecycle.stopping)
        async with grpc_server.serve(
            config,
            config.listen,
            lambda server: add_PresenceServiceServicer_to_server(service, server),
            [SERVICE],
            callers=callers_of(config.callers),
        ) as port:
            _log.info("presence_served", port=port)
            await lifecycle.stopping.wait()
        for task in running:
            task.cancel()
