"""The composition root: `python -m media` serves, `python -m media migrate` brings the database to its schema."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import grpc
import structlog

from chassis import grpc_server, lifecycle
from chassis.callers import callers_of
from chassis.database_check import open_database_check
from chassis.database_role import RoleCheck
from chassis.lifecycle import Check, Lifecycle, Unusable
from chassis.migrate import migrate, migrations
from chassis.postgres import open_database
from media import images
from media.cage import CageError
from media.config import Config, MigrateConfig
from media.errors import DecoderCrashedError, ObjectAbsentError
from media.malware import MalwareScanner
from media.objects import Objects, open_objects
from media.scan import ScanWorker
from media.service import SERVICE_NAME, MediaService, add_service
from media.sweep import Sweep

log = structlog.get_logger()
_CONNECTIONS = 6
"""Besides the sweeper's."""


async def serve(config: Config, life: Lifecycle) -> None:
    """Serve the RPCs and examine uploads until stopped."""
    await _require_cage(config)
    async with (
        open_database(
            config.database_url,
            sweeper_url=config.sweeper_database_url,
            connections=_CONNECTIONS,
            name=config.instance,
            production=config.production,
        ) as database,
        open_database_check(
            config.database_url,
            name=config.instance,
            schema=migrations("media"),
            role=RoleCheck(production=config.production, every_tenant=not config.sweeper_database_url),
        ) as database_check,
        open_objects(config) as objects,
        asyncio.TaskGroup() as tasks,
    ):
        scan = ScanWorker(database, objects, MalwareScanner(config.clamd))
        tasks.create_task(scan.run(life.stopping))
        tasks.create_task(Sweep(database, objects).run(life.stopping))
        tasks.create_task(lifecycle.keep_ready(life, {"database": database_check, "bucket": _usable(objects)}))
        service = MediaService(database, objects, scan, config.max_bytes, config.quota)

        def add(server: grpc.aio.Server) -> None:
            add_service(server, service)

        async with grpc_server.serve(config, config.listen, add, [SERVICE_NAME], callers=callers_of(config.callers)) as port:
            log.info("media_started", port=port)
            await life.stopping.wait()


async def _require_cage(config: Config) -> None:
    """Decode a sample picture before any upload. Raises `CageError` where decoders cannot be confined.

    Seccomp is required everywhere, Landlock in production.
    """
    with tempfile.TemporaryDirectory(prefix="hubbub-media-") as folder:
        try:
            landlock = await images.check(Path(folder))
        except DecoderCrashedError as error:
            raise CageError("The picture decoder cannot be confined: it needs seccomp and libseccomp2") from error
    if not landlock:
        if config.production:
            raise CageError("The picture decoder cannot be confined: this kernel has no Landlock")
        log.warning("decoder_without_landlock")


def _usable(objects: Objects) -> Check:
    async def check() -> None:
        try:
            await objects.ping()
        except ObjectAbsentError as error:
            raise Unusable("there is no such bucket: HUBBUB_MEDIA_S3_BUCKET") from error

    return check


async def _migrate(config: MigrateConfig, _life: Lifecycle) -> None:
    await migrate(config.owner_url, migrations("media"))


def main() -> None:
    """Run the process that the command line names."""
    match sys.argv[1:]:
        case []:
            lifecycle.run(Config, serve)
        case ["migrate"]:
            lifecycle.run(MigrateConfig, _migrate)
        case _:
            sys.stderr.write("usage: python -m media [migrate]\n")
            sys.exit(2)
