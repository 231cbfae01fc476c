"""The composition root: `python -m integrations` serves, `python -m integrations migrate` brings the database to its schema."""

from __future__ import annotations

import asyncio
import sys

import grpc
import structlog

from chassis import grpc_server, lifecycle
from chassis.callers import callers_of
from chassis.database_check import open_database_check
from chassis.database_role import RoleCheck
from chassis.grpc_client import open_channel
from chassis.grpc_tls import TlsFiles
from chassis.lifecycle import Lifecycle
from chassis.migrate import migrate, migrations
from chassis.postgres import open_database
from hubbub.messages.v1.feed_service_pb2_grpc import FeedServiceStub
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from integrations.addresses import Address, is_public
from integrations.answers import Answers
from integrations.config import Config, MigrateConfig
from integrations.deliver import Deliverer
from integrations.endpoint import open_endpoints
from integrations.follow import Follower
from integrations.service import SERVICE_NAME, IntegrationsService, add_service
from integrations.signing import Vault
from integrations.sweep import Sweep

log = structlog.get_logger()
_CONNECTIONS = 10
"""Besides the sweeper's."""


async def serve(config: Config, life: Lifecycle) -> None:
    """Serve the RPCs and deliver events until stopped."""
    private = config.private_endpoints
    vault = Vault(config.key_list)
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
            schema=migrations("integrations"),
            role=RoleCheck(production=config.production, every_tenant=not config.sweeper_database_url),
        ) as database_check,
        open_endpoints(_any if private else is_public, plain_http=private, nameservers=config.nameserver_list) as endpoints,
        open_channel(config.feed_target, config.identity, TlsFiles.of(config)) as feed,
        open_channel(config.messages_target, config.identity, TlsFiles.of(config)) as messages,
        asyncio.TaskGroup() as tasks,
    ):
        deliverer = Deliverer(database, endpoints, vault, config.drain_seconds)
        tasks.create_task(deliverer.run(life.stopping))
        follower = Follower(database, FeedServiceStub(feed), deliverer, config.backlog_limits)
        tasks.create_task(follower.run(life.stopping))
        tasks.create_task(Sweep(database).run(life.stopping))
        tasks.create_task(lifecycle.keep_ready(life, {"database": database_check}))
        answers = Answers(database, endpoints, vault, MessagesServiceStub(messages))
        service = IntegrationsService(
            database, vault, deliverer, answers, webhooks_per_tenant=config.webhooks_per_tenant, plain_http=private
        )

        def add(server: grpc.aio.Server) -> None:
            add_service(server, service)

        async with grpc_server.serve(config, config.listen, add, [SERVICE_NAME], callers=callers_of(config.callers)) as port:
            log.info("integrations_started", port=port)
            await life.stopping.wait()


def _any(_address: Address) -> bool:
    return True


async def _migrate(config: MigrateConfig, _life: Lifecycle) -> None:
    await migrate(config.owner_url, migrations("integrations"))


def main() -> None:
    """Run the process that the command line names."""
    match sys.argv[1:]:
        case []:
            lifecycle.run(Config, serve)
        case ["migrate"]:
            lifecycle.run(MigrateConfig, _migrate)
        case _:
            sys.stderr.write("usage: python -m integrations [migrate]\n")
            sys.exit(2)
