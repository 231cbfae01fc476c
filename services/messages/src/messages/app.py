"""The composition root of each process and command of `python -m messages`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from bus.bus import Bus
from bus.connect import open_bus
from bus.gateway_leases import open_gateway_leases
from bus.usable import usable
from chassis import grpc_server, lifecycle
from chassis.callers import callers_of
from chassis.database_check import DatabaseCheck, open_database_check
from chassis.database_role import RoleCheck
from chassis.grpc_client import open_channel
from chassis.grpc_tls import TlsFiles
from chassis.jwt import InvalidTokenError
from chassis.lifecycle import Lifecycle
from chassis.migrate import migrate, migrations
from chassis.postgres import EVERY_TENANT, SWEEPER_CONNECTIONS, Database, open_database
from hubbub.media.v1.media_service_pb2_grpc import MediaServiceStub
from messages import audit_heads, convert, permissions
from messages.audit_heads import HeadSigner, SignedHead
from messages.commands.judgement import PLANNER_SETTINGS
from messages.config import ApiConfig, AuditConfig, FeedConfig, MigrateConfig, SearchConfig, WorkerConfig
from messages.consumer import Consumer
from messages.feed.keeper import Keeper
from messages.feed.service import SERVICE_NAME as FEED
from messages.feed.service import add_feed
from messages.feed.stream import Feeds
from messages.indexer import Indexer
from messages.publisher import Publisher
from messages.revocations import Revocations
from messages.service import SERVICE_NAME, add_service
from messages.store import audit, epoch, erasure
from messages.store import search as index
from messages.sweeper import Sweeper
from messages.worker import Worker

log = structlog.get_logger()
_API_CONNECTIONS, _API_WALKS, _API_PIPELINES = 8, 4, 4
_WORKER_CONNECTIONS, _WORKER_PIPELINES = 2, 8
_SEARCH_CONNECTIONS = 2
"""Besides the sweeper's connections."""
_FEED_CONNECTIONS = 8
_PROGRESS_SECONDS = 2.0
"""Between two lines about the progress of a command."""
_USAGE = """usage: python -m messages api | worker | search | feed | migrate | permissions
       python -m messages search rebuild
       python -m messages audit verify [HEADS PUBLIC]
       python -m messages epoch declare --reason REASON
       python -m messages erase
"""


@dataclass(frozen=True, slots=True)
class Resources:
    """The database and its check, the bus and the publisher of a process."""

    database: Database
    database_check: DatabaseCheck
    bus: Bus
    publisher: Publisher


@asynccontextmanager
async def open_resources(
    config: SearchConfig, connections: int, pipelines: int, walks: int = 0, *, sweepers: int = SWEEPER_CONNECTIONS
) -> AsyncIterator[Resources]:
    """Open the database and the bus inside the block. Succeeds while either is away."""
    async with (
        open_database(
            config.database_url,
            sweeper_url=config.sweeper_database_url,
            connections=connections,
            sweepers=sweepers,
            walks=walks,
            pipelines=pipelines,
            pipeline_settings=PLANNER_SETTINGS,
            name=config.instance,
            production=config.production,
        ) as database,
        open_database_check(
            config.database_url,
            name=config.instance,
            schema=migrations("messages"),
            role=RoleCheck(production=config.production, every_tenant=not config.sweeper_database_url),
        ) as database_check,
        open_bus(config.bus_url) as bus,
    ):
        yield Resources(database, database_check, bus, Publisher(bus, config.bus_partitions))


@asynccontextmanager
async def open_media(config: ApiConfig) -> AsyncIterator[MediaServiceStub | None]:
    """A stub of the media service inside the block; None where it is not configured."""
    if not config.media_target:
        yield None
        return
    async with open_channel(config.media_target, config.identity, TlsFiles.of(config)) as channel:
        yield MediaServiceStub(channel)


async def api(config: ApiConfig, life: Lifecycle) -> None:
    """Serve RPCs until the process is stopped."""
    async with (
        open_resources(config, _API_CONNECTIONS, _API_PIPELINES, _API_WALKS) as resources,
        open_gateway_leases(config.bus_url) as gateways,
        open_media(config) as media,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(Sweeper(resources.database, resources.publisher).run(life.stopping))
        tasks.create_task(resources.publisher.heads.run(life.stopping))
        bus_usable = usable(resources.bus, config.bus_partitions, durable=config.production)
        tasks.create_task(lifecycle.keep_ready(life, {"database": resources.database_check}, {"bus": bus_usable}))
        if key := config.audit_signing_key:
            tasks.create_task(HeadSigner(resources.database, key, config.audit_sign_seconds).run(life.stopping))

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
        tasks.create_task(resources.publisher.heads.run(life.stopping))
        consumer = Consumer(
            resources.bus, config.bus_partitions, config.instance, life, on_failing=resources.database_check.disconnect
        )
        needed: dict[str, lifecycle.Check] = {
            "database": resources.database_check,
            "bus": usable(resources.bus, config.bus_partitions, durable=config.production, backlog=True),
            "storing": consumer.check,
        }
        tasks.create_task(lifecycle.keep_ready(life, needed))
        log.info("worker_started", partitions=config.bus_partitions)
        await consumer.run(lambda: Worker(resources.database, resources.publisher, life.stopping, config.limits))


async def search(config: SearchConfig, life: Lifecycle) -> None:
    """Keep the search index up to date until the process is stopped."""
    async with open_resources(config, _SEARCH_CONNECTIONS, 0) as resources, asyncio.TaskGroup() as tasks:
        needed: dict[str, lifecycle.Check] = {
            "database": resources.database_check,
            "bus": usable(resources.bus, config.bus_partitions, durable=config.production),
        }
        tasks.create_task(lifecycle.keep_ready(life, needed))
        log.info("search_started", partitions=config.bus_partitions)
        await Indexer(resources.database, resources.bus, config.bus_partitions, config.instance).run(life.stopping)


async def feed(config: FeedConfig, life: Lifecycle) -> None:
    """Serve the feed to other products until the process is stopped."""
    async with open_resources(config, 1, 0, sweepers=_FEED_CONNECTIONS) as resources, asyncio.TaskGroup() as tasks:
        needed: dict[str, lifecycle.Check] = {"database": resources.database_check}
        useful: dict[str, lifecycle.Check] = {"bus": usable(resources.bus, config.bus_partitions, durable=config.production)}
        tasks.create_task(lifecycle.keep_ready(life, needed, useful))
        tasks.create_task(Keeper(resources.database, config.bus_partitions).run(life.stopping))
        feeds = Feeds(resources.database, resources.bus, config.bus_partitions, life.stopping)
        add = partial(add_feed, feeds=feeds)
        async with grpc_server.serve(config, config.listen, add, [FEED], callers=callers_of(config.callers)) as port:
            log.info("feed_started", port=port)
            await life.stopping.wait()


async def _rebuild_search(config: SearchConfig, life: Lifecycle) -> None:
    """Let the search processes build the index anew, and wait until it answers searches. Can be interrupted: they go on."""
    async with open_database(
        config.database_url,
        sweeper_url=config.sweeper_database_url,
        connections=2,
        name=config.instance,
        production=config.production,
    ) as database:
        async with database.connection(EVERY_TENANT) as connection:
            generation = await index.begin_generation(connection)
        sys.stdout.write(f"The search processes build generation {generation}.\n")
        while not life.stopping.is_set():
            async with database.connection(EVERY_TENANT) as connection:
                messages = await index.size(connection, generation)
                serves = await index.serving(connection) >= generation
            sys.stdout.write(f"{messages} messages\n")
            if serves:
                sys.stdout.write(f"Generation {generation} answers searches.\n")
                return
            await lifecycle.pause(life.stopping, _PROGRESS_SECONDS)


async def _verify_audit(config: AuditConfig, _life: Lifecycle, signed: Sequence[SignedHead] = ()) -> None:
    """Print the first broken audit record of each tenant, and the first signed head that is not in its log. Exits with 1 then."""
    async with open_database(config.url, connections=1, name=config.instance, production=config.production) as database:
        broken = await audit.verify_all(database)
        missing = await audit_heads.contradicted(database, signed)
    for each in broken:
        sys.stdout.write(f"{each.tenant}: record {each.number}: {each.problem}\n")
    for head in missing:
        sys.stdout.write(f"{head.tenant}: record {head.number}: not as signed\n")
    if broken or missing:
        sys.exit(1)
    sys.stdout.write("The audit log is intact.\n")


def _verify_against(heads: str, public: str) -> None:
    """Verify with the signed heads in a file of log lines, and the public key (JWK) in another. Exits with 2 if unreadable."""
    try:
        key = OKPKey.import_key(json.loads(Path(public).read_text()))
        with Path(heads).open() as lines:
            signed = list(audit_heads.read(lines, key))
    except InvalidTokenError:
        sys.exit(f"{heads}: holds a head that {public} did not sign")
    except (OSError, ValueError, JoseError) as error:
        sys.exit(f"{heads}, {public}: {error}")
    lifecycle.run(AuditConfig, partial(_verify_audit, signed=signed))


async def _migrate(config: MigrateConfig, _life: Lifecycle) -> None:
    await migrate(config.owner_url, migrations("messages"))


async def _declare_epoch(config: MigrateConfig, _life: Lifecycle, reason: str) -> None:
    """Begin a new epoch. Exits with 1 if the database server's clock is behind the last one."""
    async with (
        open_database(config.owner_url, connections=1, name=config.instance) as database,
        database.connection(EVERY_TENANT) as connection,
    ):
        begun = await epoch.declare(connection, reason)
    if begun is None:
        sys.exit("The clock of the database server is behind the time of the last epoch.")
    log.info("epoch_declared", epoch=begun, reason=reason)


async def _erase(config: SearchConfig, _life: Lifecycle) -> None:
    """Erase the users of whom it was requested, from the store and from the memory of gateways."""
    async with (
        open_database(
            config.database_url,
            sweeper_url=config.sweeper_database_url,
            connections=2,
            name=config.instance,
            production=config.production,
        ) as database,
        open_bus(config.bus_url) as bus,
        open_gateway_leases(config.bus_url) as gateways,
    ):
        revocations = Revocations(Publisher(bus, config.bus_partitions), gateways)
        for wanted in await erasure.waiting(database):
            await erasure.erase(database, wanted, partial(revocations.apply_everywhere, convert.erased(wanted)))


def main() -> None:  # noqa: C901 - one line for each command
    """Run the process named on the command line."""
    match sys.argv[1:]:
        case ["api"]:
            lifecycle.run(ApiConfig, api)
        case ["worker"]:
            lifecycle.run(WorkerConfig, worker)
        case ["search"]:
            lifecycle.run(SearchConfig, search)
        case ["feed"]:
            lifecycle.run(FeedConfig, feed)
        case ["search", "rebuild"]:
            lifecycle.run(SearchConfig, _rebuild_search)
        case ["migrate"]:
            lifecycle.run(MigrateConfig, _migrate)
        case ["permissions"]:
            sys.stdout.write(permissions.page())
        case ["audit", "verify"]:
            lifecycle.run(AuditConfig, _verify_audit)
        case ["audit", "verify", heads, public]:
            _verify_against(heads, public)
        case ["epoch", "declare", "--reason", reason] if reason:
            lifecycle.run(MigrateConfig, partial(_declare_epoch, reason=reason))
        case ["erase"]:
            lifecycle.run(SearchConfig, _erase)
        case _:
            sys.stderr.write(_USAGE)
            sys.exit(2)
