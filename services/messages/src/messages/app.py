"""The composition root of each process: `python -m messages api | worker | migrate | permissions | audit verify`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import structlog

from bus.bus import Bus
from bus.connect import open_bus
from bus.gateway_leases import open_gateway_leases
from bus.usable import usable
from chassis import grpc_server, lifecycle
from chassis.callers import callers_of
from chassis.database_check import DatabaseCheck, open_database_check
from chassis.lifecycle import Lifecycle
from chassis.migrate import migrate, migrations
from chassis.postgres import Database, open_database
from messages import permissions
from messages.commands.judgement import PLANNER_SETTINGS
from messages.config import ApiConfig, MigrateConfig, WorkerConfig
from messages.consumer import Consumer
from messages.publisher import Publisher
from messages.revocations import Revocations
from messages.service import SERVICE_NAME, add_service
from messages.store import audit
from messages.sweeper import Sweeper
from messages.worker import Worker

log = structlog.get_logger()
_API_CONNECTIONS, _API_PIPELINES = 12, 4
_WORKER_CONNECTIONS, _WORKER_PIPELINES = 4, 8


@dataclass(frozen=True, slots=True)
class Resources:
    """The database and its check, the bus and the publisher of a process."""

    database: Database
    database_check: DatabaseCheck
    bus: Bus
    publisher: Publisher


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
        open_database_check(
            config.database_url, name=config.instance, schema=migrations("messages"), production=config.production
        ) as database_check,
        open_bus(config.bus_url) as bus,
    ):
        yield Resources(database, database_check, bus, Publisher(bus, config.bus_partitions))


async def api(config: ApiConfig, life: Lifecycle) -> None:
    """Serve RPCs until the process is stopped."""
    async with (
        open_resources(config, _API_CONNECTIONS, _API_PIPELINES) as resources,
        open_gateway_leases(config.bus_url) as gateways,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(Sweeper(resources.database, resources.publisher).run(life.stopping))
        bus_usable = usable(resources.bus, config.bus_partitions, durable=config.production)
        tasks.create_task(lifecycle.keep_ready(life, {"database": resources.database_check}, {"bus": bus_usable}))

        def add(server: grpc.aio.Server) -> None:
            add_service(server, resources.database, resources.publisher, Revocations(resources.publisher, gateways))

        async with grpc_server.serve(config, config.listen, add, [SERVICE_NAME], callers=callers_of(config.callers)) as port:
            log.info("api_started", port=port)
            await life.stopping.wait()


async def worker(config: WorkerConfig, life: Lifecycle) -> None:
    """Consume the command topics until the process is stopped."""
    async with open_resources(config, _WORKER_CONNECTIONS, _WORKER_PIPELINES) as resources, asyncio.TaskGroup() as tasks:
        tasks.create_task(Sweeper(resources.database, resources.publisher).run(life.stopping))
        consumer = Consumer(
            resources.bus, config.bus_partitions, config.instance, life, on_failing=resources.database_check.disconnect
        )
        needed: dict[str, lifecycle.Check] = {
            "database": resources.database_check,
            "bus": usable(resources.bus, config.bus_partitions, durable=config.production),
            "storing": consumer.check,
        }
        tasks.create_task(lifecycle.keep_ready(life, needed))
        log.info("worker_started", partitions=config.bus_partitions)
        await consumer.run(lambda: Worker(resources.database, resources.publisher, life.stopping))


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
