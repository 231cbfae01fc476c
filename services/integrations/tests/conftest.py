"""The integrations service with a real database, shorthands for its RPCs, and a deliverer that a test lets run."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import LiteralString

import pytest_asyncio
from cryptography.fernet import Fernet

from chassis.grpc_client import open_channel
from chassis.migrate import migrate, migrations
from chassis.postgres import EVERY_TENANT, Database, open_database
from hubbub.events.v1.events_pb2 import EventKind
from hubbub.integrations.v1 import integrations_pb2 as nouns
from hubbub.integrations.v1 import integrations_service_pb2 as rpc
from hubbub.messages.v1.messages_pb2 import Caller, ChannelKind
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from integrations import store
from integrations.addresses import Address
from integrations.answers import Answers
from integrations.deliver import Deliverer
from integrations.endpoint import Endpoints, open_endpoints
from integrations.service import IntegrationsService
from integrations.signing import Vault
from integrations.webhook import Event
from stack.postgres import EVERY_TENANT as SWEEPERS
from stack.postgres import SERVICE, Postgres

KEY = Fernet.generate_key().decode()
DEADLINE_SECONDS = 1.0
ROOM, OTHER_ROOM = "0190a0a0-0000-7000-8000-000000000000", "0190a0a0-0000-7000-8000-000000000001"


@dataclass
class Urls:
    """The database that tests share, as each role reaches it."""

    owner: str
    service: str
    sweeper: str


@dataclass
class Harness:
    """One service, and shorthands."""

    database: Database
    owner: Database
    """The database as its owner sees it, for what the service may not do."""
    vault: Vault
    endpoints: Endpoints
    messages: MessagesServiceStub
    """Of a service that is away."""
    urls: Urls
    tenant: str
    deliverer: Deliverer = field(init=False)
    service: IntegrationsService = field(init=False)

    def __post_init__(self) -> None:
        self.deliverer = Deliverer(self.database, self.endpoints, self.vault, drain_seconds=5.0)
        answers = Answers(self.database, self.endpoints, self.vault, self.messages)
        self.service = IntegrationsService(
            self.database, self.vault, self.deliverer, answers, webhooks_per_tenant=5, plain_http=True
        )

    def caller(self, *, admin: bool = True, tenant: str = "") -> Caller:
        return Caller(tenant=tenant or self.tenant, user="ann", admin=admin)

    async def create(
        self,
        url: str,
        *,
        events: Sequence[EventKind.ValueType] = (),
        kinds: Sequence[ChannelKind.ValueType] = (),
        channels: Sequence[str] = (),
    ) -> tuple[str, str]:
        """Make a webhook; returns its id and secret."""
        settings = rpc.WebhookSettings(url=url, events=events, channel_kinds=kinds, channels=channels)
        made = await self.service.CreateWebhook(rpc.CreateWebhookRequest(caller=self.caller(), settings=settings), None)
        return made.webhook.id, made.secret

    async def webhook(self, webhook: str) -> nouns.Webhook:
        found = await self.service.ListWebhooks(rpc.ListWebhooksRequest(caller=self.caller()), None)
        return next(each for each in found.webhooks if each.id == webhook)

    async def deliveries(self, webhook: str, state: nouns.DeliveryState.ValueType = 0) -> list[nouns.Delivery]:  # type: ignore[assignment]
        """A webhook's deliveries, oldest first."""
        asked = rpc.ListDeliveriesRequest(caller=self.caller(), webhook=webhook, state=state, page_size=100)
        return list(reversed((await self.service.ListDeliveries(asked, None)).deliveries))

    async def resend(self, webhook: str, delivery: str = "") -> int:
        asked = rpc.ResendDeliveriesRequest(caller=self.caller(), webhook=webhook, delivery=delivery)
        return (await self.service.ResendDeliveries(asked, None)).count

    async def enable(self, webhook: str, *, enabled: bool = True) -> nouns.Webhook:
        asked = rpc.UpdateWebhookRequest(caller=self.caller(), webhook=webhook, enabled=enabled)
        return (await self.service.UpdateWebhook(asked, None)).webhook

    def event(self, seq: int, channel: str = ROOM, *, kind: str = "message.posted", channel_kind: str = "group") -> Event:
        body = json.dumps({"type": kind, "channel": channel, "seq": seq}).encode()
        return Event(self.tenant, channel, channel_kind, "epoch", seq, kind, body)

    async def add(self, *events: Event, deliveries: int = 1_000, size: int = 1_000_000) -> None:
        """Add events as the reader of the feed does."""
        async with self.database.transaction([self.tenant]) as connection:
            await store.add_events(connection, events, store.Backlog(deliveries, size))
        self.deliverer.wake()

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        """Make attempts inside the block; those under way end before the block does."""
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.deliverer.run(stopping))
            yield
            stopping.set()

    async def execute(self, statement: LiteralString, *parameters: object) -> None:
        async with self.owner.connection(EVERY_TENANT) as connection:
            await connection.execute(statement, parameters)

    async def make_due(self, webhook: str) -> None:
        """Let the waits of a webhook's deliveries and its lease be over."""
        await self.execute("UPDATE deliveries SET next_at = now() WHERE webhook = %s", webhook)
        await self.execute("UPDATE webhooks SET due_at = now(), leased_until = '-infinity' WHERE id = %s", webhook)
        self.deliverer.wake()

    async def age(self, webhook: str, days: float) -> None:
        """Let so many days pass for a webhook's failures."""
        await self.execute(
            "UPDATE deliveries SET first_at = first_at - make_interval(secs => %s) WHERE webhook = %s", days * 86_400, webhook
        )
        await self.execute(
            "UPDATE webhooks SET failing_since = failing_since - make_interval(secs => %s) WHERE id = %s", days * 86_400, webhook
        )
        await self.make_due(webhook)


def local(address: Address) -> bool:
    return address.is_loopback


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def urls(postgres_server: Postgres) -> Urls:
    url = await postgres_server.create_database("test_integrations", owner="test")
    await migrate(url, migrations("integrations"))
    name = "test_integrations"
    return Urls(
        url,
        await postgres_server.ensure_login(name, "integrations_service", SERVICE),
        await postgres_server.ensure_login(name, "integrations_sweeper", SWEEPERS),
    )


@pytest_asyncio.fixture
async def harness(urls: Urls) -> AsyncIterator[Harness]:
    async with (
        open_database(urls.service, sweeper_url=urls.sweeper, connections=4, name="tests", production=True) as database,
        open_database(urls.owner, connections=1, name="tests") as owner,
        open_channel("127.0.0.1:9") as messages,
        open_endpoints(local, plain_http=True, deadline_seconds=DEADLINE_SECONDS) as endpoints,
    ):
        harness = Harness(database, owner, Vault([KEY]), endpoints, MessagesServiceStub(messages), urls, f"t-{uuid.uuid4().hex}")
        yield harness
        await harness.execute("DELETE FROM webhooks")
