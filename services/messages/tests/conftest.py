"""A migrated database for each test, and a small town in it: the service, a worker's way to store, people and channels."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from bus.memory import MemoryBus
from chassis.migrate import migrate, migrations
from chassis.postgres import Database, open_database
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands import Body, Command, Outcome, Stored
from messages.handlers import handle
from messages.message import ChannelId, CommandId, TenantId, UserId
from messages.publisher import Publisher
from messages.service import MessagesService
from stack.postgres import Postgres

PARTITIONS = 4
TENANT = "acme"


@dataclass
class Town:
    """One messages service, as its tests use it."""

    url: str
    database: Database
    bus: MemoryBus
    service: MessagesService
    publisher: Publisher
    counter: int = 0
    gateway: str = "gw"
    stored: list[Stored] = field(default_factory=list)

    def caller(self, user: str, *, tenant: str = TENANT, admin: bool = False, issued: float = 0) -> nouns.Caller:
        return nouns.Caller(tenant=tenant, user=user, admin=admin, token_issued_at=issued)

    async def people(self, *users: str, tenant: str = TENANT) -> None:
        sessions = [rpc.AdmitUserRequest(caller=self.caller(user, tenant=tenant)) for user in users]
        await self.service.OpenSessions(rpc.OpenSessionsRequest(sessions=sessions), None)

    async def channel(self, owner: str, *members: str, kind: str = "group", history: str = "all") -> str:
        await self.people(owner, *members)
        request = rpc.CreateChannelRequest(
            caller=self.caller(owner), kind=kind, name="" if kind == "direct" else "room", members=members, history=history
        )
        return (await self.service.CreateChannel(request, None)).channel.id

    def command(self, channel: str, user: str, body: Body, *, key: str = "", tenant: str = TENANT) -> Command:
        self.counter += 1
        key = key or uuid.uuid4().hex
        return Command(
            TenantId(tenant), ChannelId(channel), UserId(user), key, CommandId(f"c.{self.counter}"), self.gateway, body
        )

    async def do(self, *commands: Command) -> list[Outcome]:
        stored = await handle(self.database, commands)
        self.stored.append(stored)
        return stored.outcomes

    async def log(self, channel: str, after: int = 0, tenant: str = TENANT) -> list[events.Event]:
        request = rpc.FetchEventsRequest(tenant=tenant, channel=channel, after=after)
        return list((await self.service.FetchEvents(request, None)).events)

    async def post(self, channel: str, user: str, text: str = "hello", key: str = "") -> rpc.PostMessageResponse:
        request = rpc.PostMessageRequest(
            caller=self.caller(user), channel=channel, key=key, message=events.PostMessage(text=text)
        )
        return await self.service.PostMessage(request, None)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def migrated(postgres_server: Postgres) -> str:
    """Return the name of a database with the newest schema, to be copied."""
    url = await postgres_server.create_database("messages_template", owner="test")
    await migrate(url, migrations("messages"))
    return "messages_template"


@pytest_asyncio.fixture
async def messages_url(postgres_server: Postgres, migrated: str) -> AsyncIterator[str]:
    name = f"messages_{uuid.uuid4().hex}"
    yield await postgres_server.create_database(name, owner="test", template=migrated)
    await postgres_server.drop_database(name)


@pytest_asyncio.fixture
async def town(messages_url: str) -> AsyncIterator[Town]:
    bus = MemoryBus()
    async with open_database(messages_url, connections=8, name="tests") as database:
        publisher = Publisher(bus, PARTITIONS)
        yield Town(messages_url, database, bus, MessagesService(database, publisher), publisher)


@pytest.fixture
def partitions() -> int:
    return PARTITIONS
