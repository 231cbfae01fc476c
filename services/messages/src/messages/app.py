"""The composition root of each process: `python -m messages api | worker | migrate | permissions | audit verify`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import structlog

from bus import topics
from bus.bus import Bus, BusError
from bus.connect import open_bus
from bus.gateway_leases import open_gateway_leases
from chassis import grpc_server, lifecycle
from chassis.callers import callers_of
from chassis.errors import Unavailable
from chassis.grpc_client import open_channel
from chassis.lifecycle import Lifecycle
from chassis.migrate import migrate, migrations
from chassis.postgres import Database, open_database
from hubbub.media.v1.media_service_pb2_grpc import MediaServiceStub
from messages import permissions
from messages.commands.judgement import PLANNER_SETTINGS
from messages.config import ApiConfig, MigrateConfig, WorkerConfig
from messages.publisher import Publisher
from messages.revocations import Revocations
from messages.service import SERVICE_NAME, add_service
from messages.store import audit
from messages.sweeper import Sweeper
from messages.worker import GROUP, Worker

log = structlog.get_logger()
_API_CONNECTIONS, _API_PIPELINES = 12, 4
_WORKER_CONNECTIONS, _WORKER_PIPELINES = 4, 8


@dataclass(frozen=True, slots=True)
class Resources:
    """The database, the bus and the publisher of a process."""

    database: Database
    bus: Bus
    publisher: Publisher

    async def store_reachable(self) -> bool:
        """Whether the database responds."""
        try:
            await self.database.ping()
        except Unavailable:
            return False
        return True

    async def reachable(self) -> bool:
        """Whether the database and the bus respond."""
        try:
            await self.bus.ping()
        except BusError:
            return False
        return await self.store_reachable()


@asynccontextmanager
async def open_resources(config: WorkerConfig, connections: int, pipelines: int) -> AsyncIterator[Resources]:
    """Open the database and the bus inside the block. Succeeds while either is away."""
    async with (
        open_database(
            config.database_url,
            connections=connections,
            pipelines=pipelines,
            pipeline_settings=PLANNER_SETTINGS,
            name=config.instance,
        ) as database,
        open_bus(config.bus_url) as bus,
    ):
        yield Resources(database, bus, Publisher(bus, config.bus_partitions))


@asynccontextmanager
async def open_media(config: ApiConfig) -> AsyncIterator[MediaServiceStub | None]:
    """A stub of the media service inside the block; None where it is not configured."""
    if not config.media_target:
        yield None
        return
    async with open_channel(config.media_target, config.identity) as channel:
        yield MediaServiceStub(channel)


async def api(config: ApiConfig, life: Lifecycle) -> None:
    """Serve RPCs until the process is stopped."""
    async with (
        open_resources(config, _API_CONNECTIONS, _API_PIPELINES) as resources,
        open_gateway_leases(config.bus_url) as gateways,
        open_media(config) as media,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(Sweeper(resources.database, resources.publisher).run(life.stopping))
        tasks.create_task(lifecycle.keep_ready(life, resources.store_reachable))

        def add(server: grpc.aio.Server) -> None:
            revocations = Revocations(resources.publisher, gateways)
            add_service(server, resources.database, resources.publisher, revocations, limits=config.limits, media=media)

        async with grpc_server.serve(config, config.listen, add, [SERVICE_NAME], callers=callers_of(config.callers)) as port:
            log.info("api_started", port=port)
            await life.stopping.wait()


async def worker(config: WorkerConfig, life: Lifecycle) -> None:
    """Consume the command topics until the process is stopped."""
    async with open_resources(config, _WORKER_CONNECTIONS, _WORKER_PIPELINES) as resources, asyncio.TaskGroup() as tasks:
        tasks.create_task(Sweeper(resources.database, resources.publisher).run(life.stopping))
        tasks.create_task(lifecycle.keep_ready(life, resources.reachable))
        command_topics = [topics.commands(number) for number in range(config.bus_partitions)]
        async with resources.bus.work(command_topics, GROUP, config.instance) as work:
            log.info("worker_started", partitions=config.bus_partitions)
            await Worker(resources.database, resources.publisher, life.stopping, config.limits).run(work)


async def _verify_audit(config: MigrateConfig, _life: Lifecycle) -> None:
    """Print the first broken audit record of each tenant. Exits with 1 when there is one."""
    async with open_database(config.database_url, connections=1, name=config.instance) as database:
        broken = await audit.verify_all(database)
    for each in broken:
        sys.stdout.write(f"{each.tenant}: record {each.number}: {each.problem}\n")
    if broken:
        sys.exit(1)
    sys.stdout.write("The audit log is intact.\n")


async def _migrate(config: MigrateConfig, _life: Lifecycle) -> None:
    await migrate(config.database_url, migrations("messages"))


def main() -> None:
    """Run the process named on the command line."""
    match sys.argv[1:]:
        case ["api"]:
            lifecycle.run(ApiConfig, api)
        case ["worker"]:
            lifecycle.run(WorkerConfig, worker)
        case ["migrate"]:
            lifecycle.run(MigrateConfig, _migrate)
        case ["permissions"]:
            sys.stdout.write(permissions.page())
        case ["audit", "verify"]:
            lifecycle.run(MigrateConfig, _verify_audit)
        case _:
            sys.stderr.write("usage: python -m messages api | worker | migrate | permissions | audit verify\n")
            sys.exit(2)
