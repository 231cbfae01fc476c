"""Two tenants with the same user ids: the first has one object of every kind, which the second tries to see or change."""

import uuid
from dataclasses import dataclass

from chassis.identity import GATEWAY
from hubbub.integrations.v1.integrations_service_pb2 import (
    CreateActionEndpointRequest,
    CreateCommandRequest,
    CreateWebhookRequest,
    WebhookSettings,
)
from hubbub.integrations.v1.integrations_service_pb2_grpc import IntegrationsServiceStub
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1.messages_service_pb2 import BeginBrowserSessionRequest, CreateBotRequest, CreateBotTokenRequest
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from tests.client import Api
from tests.flow.world import World

UNKNOWN = {
    name: str(uuid.uuid4())
    for name in (
        "channel",
        "message",
        "upload",
        "report",
        "session",
        "token",
        "secret",
        "webhook",
        "delivery",
        "command",
        "answer",
        "endpoint",
    )
}
UNKNOWN |= {name: f"bot:{uuid.uuid4().hex[:24]}" for name in ("bot", "hook")}
"""Ids of objects that do not exist."""
SECRET = "our secret"
NAMED = "of the first"
"""Part of every user name in the first tenant."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The users of both tenants."""

    world: World
    ann: Api
    """Of the first tenant, like bob and carol; the objects in `ids` belong to them."""
    bob: Api
    eve: Api
    """The user ann of the second tenant, an administrator."""
    other_bob: Api
    """The user bob of the second tenant, which has no carol."""
    ids: dict[str, str]

    @property
    def tenant(self) -> str:
        """The second tenant."""
        return second(self.world)

    @property
    def intruder(self) -> nouns.Caller:
        """Eve as a caller over gRPC."""
        return nouns.Caller(tenant=self.tenant, user="ann", admin=True)

    @property
    def victim(self) -> nouns.Caller:
        """Ann as a caller over gRPC."""
        return nouns.Caller(tenant=self.world.tenant, user="ann", admin=True)

    def none_of_theirs(self, answer: object) -> bool:
        """Whether an answer, or a part of one, contains nothing of the first tenant."""
        text = str(answer)
        return not any(mark in text for mark in (*self.ids.values(), self.world.tenant, SECRET, NAMED))


def second(world: World) -> str:
    """A second tenant for the test; its name does not contain the first's."""
    return f"n-{world.tenant[2:]}"


async def neighbours(world: World) -> Neighbours:
    """Create both tenants; the first has a public channel with an object of every kind in it."""
    ann, bob, carol = [await world.person(user, name=f"{user} {NAMED}") for user in ("ann", "bob", "carol")]
    eve = await world.person("ann", 1, tenant=second(world), roles=["admin"])
    other_bob = await world.person("bob", 1, tenant=second(world))
    room = await world.room(ann, bob, carol, kind="public")
    await world.room(ann, bob, kind="direct")
    message = (await bob.post(room, SECRET, "the-key", mentions=["ann"]))["message"]
    report = (await bob.ok("POST", f"/v1/channels/{room}/messages/{message}/reports", {"reason": "x"}, status=201))["id"]
    announced = {"name": "a.txt", "size": 3, "type": "text/plain", "channel": room}
    upload = (await ann.ok("POST", "/v1/uploads", announced, status=201))["id"]
    await ann.ok("PUT", f"/v1/channels/{room}/bans/carol", {"reason": SECRET}, status=204)
    await ann.ok("PUT", "/v1/me/blocks/carol", status=204)
    ids = {
        "channel": room,
        "message": message,
        "report": report,
        "upload": upload,
        "session": await _signed_in(world, "ann"),
        "webhook": await _subscribed(world, "ann"),
        "delivery": str(uuid.uuid4()),
        "command": await _command(world, "ann"),
        "endpoint": await _action_endpoint(world, "ann"),
        "answer": f"{world.tenant}.{uuid.uuid4()}",
    }
    hook = await ann.ok("POST", f"/v1/channels/{room}/hooks", {"name": f"builds {NAMED}"}, status=201)
    ids |= {"hook": hook["id"], "secret": hook["path"].rpartition("/")[2], **await _bot(world, "ann")}
    return Neighbours(world, ann, bob, eve, other_bob, ids)


async def _bot(world: World, user: str) -> dict[str, str]:
    """The ids of a new bot and its token."""
    caller = nouns.Caller(tenant=world.tenant, user=user, admin=True)
    async with world.stack.channel("messages", GATEWAY) as channel:
        stub = MessagesServiceStub(channel)
        bot = (await stub.CreateBot(CreateBotRequest(caller=caller, name=f"robot {NAMED}"), timeout=5)).bot.id
        asked = CreateBotTokenRequest(caller=caller, bot=bot, name=NAMED, scopes=[nouns.BOT_SCOPE_READ])
        made = await stub.CreateBotToken(asked, timeout=5)
    return {"bot": bot, "token": made.token.id, "shown": made.secret}


async def _signed_in(world: World, user: str) -> str:
    """The id of a new browser session."""
    caller = nouns.Caller(tenant=world.tenant, user=user)
    asked = BeginBrowserSessionRequest(caller=caller, user_agent=SECRET, idle_seconds=600, longest_seconds=600)
    async with world.stack.channel("messages", GATEWAY) as channel:
        return str((await MessagesServiceStub(channel).BeginBrowserSession(asked, timeout=5)).session.id)


async def _subscribed(world: World, user: str) -> str:
    """The id of a new webhook, which receives nothing."""
    caller = nouns.Caller(tenant=world.tenant, user=user, admin=True)
    settings = WebhookSettings(url="https://hooks.example.com/", description=SECRET, channels=[str(uuid.uuid4())])
    async with world.stack.channel("integrations", GATEWAY) as channel:
        asked = CreateWebhookRequest(caller=caller, settings=settings)
        return str((await IntegrationsServiceStub(channel).CreateWebhook(asked, timeout=5)).webhook.id)


async def _command(world: World, user: str) -> str:
    """The id of a new slash command named `secret`."""
    caller = nouns.Caller(tenant=world.tenant, user=user, admin=True)
    async with world.stack.channel("integrations", GATEWAY) as channel:
        asked = CreateCommandRequest(
            caller=caller, name="secret", description=SECRET, url="https://hooks.example.com/", bot="bot:x"
        )
        return str((await IntegrationsServiceStub(channel).CreateCommand(asked, timeout=5)).command.id)


async def _action_endpoint(world: World, user: str) -> str:
    """The id of a new endpoint of actions, of `bot:x`."""
    caller = nouns.Caller(tenant=world.tenant, user=user, admin=True)
    async with world.stack.channel("integrations", GATEWAY) as channel:
        asked = CreateActionEndpointRequest(caller=caller, url="https://hooks.example.com/", bot="bot:x")
        return str((await IntegrationsServiceStub(channel).CreateActionEndpoint(asked, timeout=5)).endpoint.id)
