"""Composes the media processes: `python -m media` serves, `python -m media migrate` migrates the database."""

from __future__ import annotations

import asyncio
import sys

import grpc
import structlog

from chassis import grpc_server, lifecycle
from chassis.callers import callers_of
from chassis.errors import Unavailable
from chassis.lifecycle import Lifecycle
from chassis.migrate import migrate, migrations
from chassis.postgres import Database, open_database
from media.config import Config, MigrateConfig
from media.errors import ObjectAbsentError
from media.malware import MalwareScanner
from media.objects import Objects, open_objects
from media.scan import ScanWorker
from media.service import SERVICE_NAME, MediaService, add_service

log = structlog.get_logger()
_CONNECTIONS = 8


async def serve(config: Config, life: Lifecycle) -> None:
    """Serve the RPCs and scan uploads until stopping."""
    async with (
        open_database(config.database_url, connections=_CONNECTIONS, name=config.instance) as database,
        open_objects(config) as objects,
        asyncio.TaskGroup() as tasks,
    ):
        scan = ScanWorker(database, objects, MalwareScanner(config.clamd))
        tasks.create_task(scan.run(life.stopping))
        tasks.create_task(lifecycle.keep_ready(life, lambda: _reachable(database, objects)))
        service = MediaService(database, objects, scan, config.max_bytes)

        def add(server: grpc.aio.Server) -> None:
            add_service(server, service)

        async with grpc_server.serve(config, config.listen, add, [SERVICE_NAME], callers=callers_of(config.callers)) as port:
            log.info("media_started", port=port)
            await life.stopping.wait()


async def _reachable(database: Database, objects: Objects) -> bool:
    try:
        await database.ping()
        await objects.ping()
    except (Unavailable, ObjectAbsentError):
        return False
    return True


async def _migrate(config: MigrateConfig, _life: Lifecycle) -> None:
    await migrate(config.database_url, migrations("media"))


def main() -> None:
    """Run the process selected on the command line."""
    match sys.argv[1:]:
        case []:
            lifecycle.run(Config, serve)
        case ["migrate"]:
            lifecycle.run(MigrateConfig, _migrate)
        case _:
            sys.stderr.write("usage: python -m media [migrate]\n")
            sys.exit(2)
