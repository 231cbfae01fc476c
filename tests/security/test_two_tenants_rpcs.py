"""Two tenants with the same user ids, on every RPC of every service, streams included.

RPCs about a channel are tested from their descriptors. Each other RPC needs a case in `CASES`. The tests call as the gateway,
which may act for every tenant. libs/chassis tests for which tenants other callers may act. The RPCs of the feed are about the
caller: services/messages/tests/test_feed.py shows that one gets only the events of its tenants and reaches no other's readers.
"""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.descriptor import MethodDescriptor

from chassis.bots import token_credential
from chassis.identity import GATEWAY
from hubbub.events.v1.events_pb2 import PostMessage, Role
from hubbub.gateway.v1 import gateway_service_pb2 as gateway_calls
from hubbub.gateway.v1.gateway_service_pb2_grpc import GatewayServiceStub
from hubbub.integrations.v1 import integrations_service_pb2 as integrations_calls
from hubbub.integrations.v1.integrations_service_pb2_grpc import IntegrationsServiceStub
from hubbub.media.v1 import media_service_pb2 as media_calls
from hubbub.media.v1.media_pb2 import LinkVariant
from hubbub.media.v1.media_service_pb2_grpc import MediaServiceStub
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as calls
from hubbub.messages.v1.messages_pb2 import Caller, ChannelKind, ReportResolution
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from hubbub.presence.v1 import presence_pb2
from hubbub.presence.v1 import presence_service_pb2 as presence_calls
from hubbub.presence.v1.presence_pb2 import Status
from hubbub.presence.v1.presence_service_pb2_grpc import PresenceServiceStub
from tests.flow.world import World, live
from tests.security.neighbours import UNKNOWN, Neighbours, neighbours


def methods(module: Any, service: str) -> list[MethodDescriptor]:
    return list(module.DESCRIPTOR.services_by_name[service].methods)


RPCS = [
    *methods(calls, "MessagesService"),
    *methods(media_calls, "MediaService"),
    *methods(presence_calls, "PresenceService"),
    *methods(gateway_calls, "GatewayService"),
    *methods(integrations_calls, "IntegrationsService"),
]


@dataclass(frozen=True, slots=True)
class Doors:
    """The two tenants, and clients of the services."""

    pair: Neighbours
    messages: MessagesServiceStub
    media: MediaServiceStub
    presence: PresenceServiceStub
    integrations: IntegrationsServiceStub

    async def own(self, rpc: str, /, **fields: Any) -> Any:
        """Call the messages service as eve; check that the answer contains nothing of the first tenant."""
        answer = await getattr(self.messages, rpc)(request(rpc, caller=self.pair.intruder, **fields), timeout=5)
        assert self.pair.none_of_theirs(answer)
        return answer

    async def absent(self, rpc: str, /, **fields: Any) -> None:
        """Check that eve's call is answered with NOT_FOUND."""
        await not_found(getattr(self.messages, rpc)(request(rpc, caller=self.pair.intruder, **fields), timeout=5))

    async def theirs(self, rpc: str, /, **fields: Any) -> Any:
        """Call the messages service as ann of the first tenant."""
        return await getattr(self.messages, rpc)(request(rpc, caller=self.pair.victim, **fields), timeout=5)


@pytest.fixture
async def doors(world: World) -> AsyncIterator[Doors]:
    async with (
        world.stack.channel("messages", GATEWAY) as messages,
        world.stack.channel("media", GATEWAY) as media,
        world.stack.channel("presence", GATEWAY) as presence,
        world.stack.channel("integrations", GATEWAY) as integrations,
    ):
        yield Doors(
            await neighbours(world),
            MessagesServiceStub(messages),
            MediaServiceStub(media),
            PresenceServiceStub(presence),
            IntegrationsServiceStub(integrations),
        )


def request(rpc: str, /, **fields: Any) -> Any:
    return getattr(calls, f"{rpc}Request")(**fields)


async def not_found(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    return refusal.value


def about_a_channel(method: MethodDescriptor) -> bool:
    return {"caller", "channel"} <= {field.name for field in method.input_type.fields} and method.name not in CASES


# Messages: sessions and people.


async def admit_user(doors: Doors) -> None:
    assert (await doors.own("AdmitUser")).user.id == "ann"


async def open_sessions(doors: Doors) -> None:
    asked = calls.AdmitUserRequest(caller=doors.pair.intruder)
    (session,) = (await doors.messages.OpenSessions(calls.OpenSessionsRequest(sessions=[asked]), timeout=5)).sessions
    assert (session.user.id, session.memberships, session.hello_channels) == ("ann", b"", b"")
    assert doors.pair.none_of_theirs(session)


async def begin_browser_session(doors: Doors) -> None:
    """The other tenant's session is not continued."""
    caller = nouns.Caller(tenant=doors.pair.tenant, user="ann", session=doors.pair.ids["session"])
    asked = calls.BeginBrowserSessionRequest(caller=caller, idle_seconds=60, longest_seconds=60)
    assert doors.pair.none_of_theirs(await doors.messages.BeginBrowserSession(asked, timeout=5))


async def list_browser_sessions(doors: Doors) -> None:
    assert len((await doors.own("ListBrowserSessions")).sessions) == 0
    assert len((await doors.theirs("ListBrowserSessions")).sessions) == 1


async def end_browser_sessions(doors: Doors) -> None:
    await doors.absent("EndBrowserSessions", session=doors.pair.ids["session"])
    assert len((await doors.own("EndBrowserSessions")).sessions) == 0
    assert len((await doors.theirs("ListBrowserSessions")).sessions) == 1


async def list_users(doors: Doors) -> None:
    assert {user.id for user in (await doors.own("ListUsers")).users} == {"ann", "bob"}


async def revoke_user(doors: Doors) -> None:
    await doors.absent("RevokeUser", user="carol")
    async with live(doors.pair.bob) as socket:
        await doors.own("RevokeUser", user="bob")
        await socket.round_trip()
    await doors.pair.bob.ok("GET", "/v1/me")


async def block_user(doors: Doors) -> None:
    await doors.absent("BlockUser", user="carol", blocked=True)
    async with live(doors.pair.bob) as socket:
        await doors.own("BlockUser", user="bob", blocked=True)
        await socket.round_trip()
    await doors.pair.bob.ok("GET", "/v1/me")


async def erase_user(doors: Doors) -> None:
    await doors.absent("EraseUser", user="carol")
    async with live(doors.pair.bob) as socket:
        await doors.own("EraseUser", user="bob")
        await socket.round_trip()
    await doors.pair.bob.ok("GET", "/v1/me")


async def block_peer(doors: Doors) -> None:
    await doors.absent("BlockPeer", user="carol", blocked=True)
    await doors.own("BlockPeer", user="bob", blocked=True)
    assert [user.id for user in (await doors.theirs("ListBlockedPeers")).users] == ["carol"]


async def list_blocked_peers(doors: Doors) -> None:
    assert not (await doors.own("ListBlockedPeers")).users
    assert (await doors.theirs("ListBlockedPeers")).users


async def list_audit(doors: Doors) -> None:
    assert not (await doors.own("ListAudit")).records
    assert (await doors.theirs("ListAudit")).records


# Messages: channels and the log.


async def list_channels(doors: Doors) -> None:
    for joinable in (False, True):
        assert not (await doors.own("ListChannels", joinable=joinable)).channels
    assert (await doors.theirs("ListChannels")).channels


async def list_invitations(doors: Doors) -> None:
    room = await doors.pair.ann.create("group", name="x", members=["bob"])
    await doors.pair.bob.ok("DELETE", f"/v1/channels/{room}/members/bob", status=204)
    await doors.theirs("AddMembers", channel=room, users=["bob"])
    for tenant, invited in ((doors.pair.world.tenant, [room]), (doors.pair.tenant, [])):
        asked = request("ListInvitations", caller=Caller(tenant=tenant, user="bob"))
        found = (await doors.messages.ListInvitations(asked, timeout=5)).invitations
        assert [each.channel for each in found] == invited


async def list_mentions(doors: Doors) -> None:
    assert not (await doors.own("ListMentions")).messages
    assert [each.id for each in (await doors.theirs("ListMentions")).messages] == [doors.pair.ids["message"]]


async def create_channel(doors: Doors) -> None:
    await doors.absent("CreateChannel", kind=ChannelKind.CHANNEL_KIND_GROUP, name="x", members=["carol"])
    assert (await doors.own("CreateChannel", kind=ChannelKind.CHANNEL_KIND_DIRECT, members=["bob"])).created
    assert not (await doors.theirs("CreateChannel", kind=ChannelKind.CHANNEL_KIND_DIRECT, members=["bob"])).created


async def search_messages(doors: Doors) -> None:
    assert not (await doors.own("SearchMessages", query="secret")).messages
    assert (await doors.theirs("SearchMessages", query="secret")).messages
    await doors.absent("SearchMessages", query="secret", channel=doors.pair.ids["channel"])


async def catch_up(doors: Doors) -> None:
    room = doors.pair.ids["channel"]
    positions = [calls.Position(channel=each) for each in (room, UNKNOWN["channel"])]
    told = []
    for caller in (doors.pair.intruder, doors.pair.victim):
        asked = calls.CatchUpRequest(caller=caller, positions=positions, limit=100)
        told.append([answer async for answer in doors.messages.CatchUp(asked, timeout=5)])
    (gone,), complete = told
    assert [(status.status, status.seq, status.after) for status in gone.statuses] == [(calls.RESUME_STATUS_GONE, 0, 0)] * 2
    assert not gone.events
    assert any(answer.events for answer in complete)


async def fetch_events(doors: Doors) -> None:
    for channel in (doors.pair.ids["channel"], UNKNOWN["channel"]):
        asked = calls.FetchEventsRequest(tenant=doors.pair.tenant, channel=channel)
        await not_found(doors.messages.FetchEvents(asked, timeout=5))


async def fetch_ranges(doors: Doors) -> None:
    """A range under another tenant than its channel's is as empty as one of an unknown channel."""
    channels = (doors.pair.ids["channel"], UNKNOWN["channel"])
    ranges = [calls.EventRange(tenant=doors.pair.tenant, channel=channel, through=9) for channel in channels]
    ranges += [calls.EventRange(tenant=doors.pair.world.tenant, channel=channels[0], through=1)]
    answer = await doors.messages.FetchRanges(calls.FetchRangesRequest(ranges=ranges), timeout=5)
    assert [len(each.events) for each in answer.ranges] == [0, 0, 1]


async def get_heads(doors: Doors) -> None:
    """GetHeads takes channels of any tenant and returns nothing but the length of their logs and the store's epoch."""
    answer = await doors.messages.GetHeads(calls.GetHeadsRequest(channels=[doors.pair.ids["channel"]]), timeout=5)
    assert [field.name for field, _ in answer.ListFields()] == ["heads", "epoch"]
    assert [head.channel for head in answer.heads] == [doors.pair.ids["channel"]]
    assert [field.name for field in answer.heads[0].DESCRIPTOR.fields] == ["channel", "seq", "roster"]


# Media.


async def create_upload(doors: Doors) -> None:
    """An upload by the second tenant for a channel of the first is visible to neither."""
    room = doors.pair.ids["channel"]
    asked = media_calls.CreateUploadRequest(
        tenant=doors.pair.tenant, user="ann", channel=room, name="a.txt", size=3, type="text/plain"
    )
    made = (await doors.media.CreateUpload(asked, timeout=5)).upload.id
    for api in (doors.pair.ann, doors.pair.eve):
        await api.refused("GET", f"/v1/uploads/{made}", reason="NOT_FOUND")
    attached = media_calls.ResolveUploadsRequest(tenant=doors.pair.world.tenant, user="ann", channel=room, uploads=[made])
    await not_found(doors.media.ResolveUploads(attached, timeout=5))


def uploads(name: str, **fields: Any) -> Callable[[Doors], Awaitable[None]]:
    """Return the case of an RPC about an upload of the first tenant."""

    async def case(doors: Doors) -> None:
        shape = getattr(media_calls, f"{name}Request")
        told = []
        for upload in (doors.pair.ids["upload"], UNKNOWN["upload"]):
            given = {"tenant": doors.pair.tenant, "user": "ann", "channel": doors.pair.ids["channel"], "upload": upload, **fields}
            given["uploads"] = [upload]
            known = {field: value for field, value in given.items() if field in shape.DESCRIPTOR.fields_by_name}
            told.append((await not_found(getattr(doors.media, name)(shape(**known), timeout=5))).details())
        assert told[0] == told[1]

    return case


# Presence.


def of(tenant: str, user: str = "bob") -> presence_pb2.UserRef:
    return presence_pb2.UserRef(tenant=tenant, user=user)


async def get_presence(doors: Doors) -> None:
    async with live(doors.pair.ann) as ann, live(doors.pair.bob):
        await ann.send("watch", users=["bob"])
        await ann.expect("presence", user="bob", status="online")
        users = [of(doors.pair.tenant), of(doors.pair.world.tenant)]
        answer = await doors.presence.GetPresence(presence_calls.GetPresenceRequest(users=users), timeout=5)
    assert [(each.user, each.status) for each in answer.presences] == [
        (users[0], Status.STATUS_OFFLINE),
        (users[1], Status.STATUS_ONLINE),
    ]


async def attach(doors: Doors) -> None:
    """The presence of the second tenant's bob does not change that of the first's."""
    namesakes = [of(doors.pair.world.tenant), of(doors.pair.tenant)]
    async with live(doors.pair.ann) as ann, live(doors.pair.bob):
        await ann.send("watch", users=["bob"])
        await ann.expect("presence", user="bob", status="online")
        change = presence_calls.ConnectionChange(user=namesakes[1], connection=uuid.uuid4().hex, status=Status.STATUS_DND)
        first = presence_calls.AttachRequest(
            lease=presence_calls.Lease(gateway=uuid.uuid4().hex), changes=[change], watch=namesakes
        )
        attached = doors.presence.Attach(timeout=10)
        await attached.write(first)
        shown: dict[str, Status.ValueType] = {}
        while shown.get(doors.pair.tenant) != Status.STATUS_DND or doors.pair.world.tenant not in shown:
            shown |= {each.user.tenant: each.status for each in (await anext(aiter(attached))).presences}
        assert shown == {doors.pair.world.tenant: Status.STATUS_ONLINE, doors.pair.tenant: Status.STATUS_DND}
        attached.cancel()
        await ann.round_trip()
        assert [frame["status"] for frame in ann.received("presence")] == ["online"]


# Gateways, which call each other for Socket.IO sessions.

ENGINE = "EIO=4&transport="


@asynccontextmanager
async def socketio_session(doors: Doors) -> AsyncIterator[tuple[GatewayServiceStub, Any, str, str]]:
    """A connected session of the first tenant's ann that polls: its gateway, its client's HTTP, its id and its `pid`."""
    ann = doors.pair.ann
    number = [gateway.url for gateway in doors.pair.world.stack.gateways].index(ann.url)
    headers = {"Authorization": f"Bearer {ann.token}"}
    async with (
        httpx.AsyncClient(base_url=f"{ann.url}/socket.io/", headers=headers, timeout=30) as http,
        doors.pair.world.stack.channel(f"gateway-{number}", GATEWAY) as channel,
    ):
        sid = json.loads((await http.get(f"?{ENGINE}polling")).text[1:])["sid"]
        await http.post(f"?{ENGINE}polling&sid={sid}", content="40")
        connected = (await http.get(f"?{ENGINE}polling&sid={sid}")).text.split("\x1e")[0]
        yield GatewayServiceStub(channel), http, sid, json.loads(connected[2:])["pid"]


def handed_on(doors: Doors, sid: str, transport: str) -> gateway_calls.HandOverRequest:
    """A request of the second tenant's ann for a session."""
    shown = {
        "authorization": f"Bearer {doors.pair.eve.token}",
        "sec-websocket-version": "13",
        "sec-websocket-key": "A" * 22 + "==",
    }
    headers = [gateway_calls.Header(name=name, value=value) for name, value in shown.items()]
    return gateway_calls.HandOverRequest(method="GET", query=f"{ENGINE}{transport}&sid={sid}", headers=headers, peer="127.0.0.1")


async def hand_over(doors: Doors) -> None:
    async with socketio_session(doors) as (gateway, _, sid, _):
        answer = await gateway.HandOver(handed_on(doors, sid, "polling"), timeout=5)
        assert (answer.status, answer.body) == (403, b'{"code":4,"message":"NOT_ALLOWED"}')


async def relay(doors: Doors) -> None:
    async with socketio_session(doors) as (gateway, _, sid, _):
        carrying = gateway.Relay(timeout=5)
        await carrying.write(gateway_calls.RelayRequest(handshake=handed_on(doors, sid, "websocket")))
        assert (await anext(aiter(carrying))).data.startswith(b"HTTP/1.1 403 ")
        carrying.cancel()


async def take_session(doors: Doors) -> None:
    """The session is not given, and goes on."""
    async with socketio_session(doors) as (gateway, http, sid, pid):
        asked = gateway_calls.TakeSessionRequest(pid=pid, tenant=doors.pair.tenant, user="ann", gateway="0" * 12)
        assert await gateway.TakeSession(asked, timeout=5) == gateway_calls.TakeSessionResponse()
        assert (await http.post(f"?{ENGINE}polling&sid={sid}", content='42["ping",{}]')).text == "ok"


# Integrations.


async def create_webhook(doors: Doors) -> None:
    settings = integrations_calls.WebhookSettings(url="https://hooks.example.com/")
    asked = integrations_calls.CreateWebhookRequest(caller=doors.pair.intruder, settings=settings)
    assert (await doors.integrations.CreateWebhook(asked, timeout=5)).webhook.tenant == doors.pair.tenant


async def list_webhooks(doors: Doors) -> None:
    for caller, known in ((doors.pair.intruder, []), (doors.pair.victim, [doors.pair.ids["webhook"]])):
        found = await doors.integrations.ListWebhooks(integrations_calls.ListWebhooksRequest(caller=caller), timeout=5)
        assert [each.id for each in found.webhooks] == known


def webhooks(name: str) -> Callable[[Doors], Awaitable[None]]:
    """Return the case of an RPC about a webhook of the first tenant."""

    async def case(doors: Doors) -> None:
        shape = getattr(integrations_calls, f"{name}Request")
        told = []
        for known in (doors.pair.ids, UNKNOWN):
            given = {"caller": doors.pair.intruder, "webhook": known["webhook"], "enabled": False, "delivery": known["delivery"]}
            asked = shape(**{field: value for field, value in given.items() if field in shape.DESCRIPTOR.fields_by_name})
            told.append((await not_found(getattr(doors.integrations, name)(asked, timeout=5))).details())
        assert told[0] == told[1]
        await list_webhooks(doors)

    return case


async def list_integration_audit(doors: Doors) -> None:
    for caller, known in ((doors.pair.intruder, 0), (doors.pair.victim, 3)):
        asked = integrations_calls.ListIntegrationAuditRequest(caller=caller)
        assert len((await doors.integrations.ListIntegrationAudit(asked, timeout=5)).records) == known


async def create_command(doors: Doors) -> None:
    """A name of the first tenant is free in the second."""
    asked = integrations_calls.CreateCommandRequest(
        caller=doors.pair.intruder, name="secret", url="https://hooks.example.com/", bot="bot:x"
    )
    assert (await doors.integrations.CreateCommand(asked, timeout=5)).command.tenant == doors.pair.tenant


async def list_commands(doors: Doors) -> None:
    for caller, known in ((doors.pair.intruder, []), (doors.pair.victim, [doors.pair.ids["command"]])):
        found = await doors.integrations.ListCommands(integrations_calls.ListCommandsRequest(caller=caller), timeout=5)
        assert [each.id for each in found.commands] == known


async def delete_command(doors: Doors) -> None:
    for command in (doors.pair.ids["command"], UNKNOWN["command"]):
        asked = integrations_calls.DeleteCommandRequest(caller=doors.pair.intruder, command=command)
        await not_found(doors.integrations.DeleteCommand(asked, timeout=5))
    await list_commands(doors)


async def run_command(doors: Doors) -> None:
    """Neither a command of the first tenant nor a channel of it."""
    await create_command(doors)
    own = await doors.pair.eve.create("group", name="x")
    for command, room in (("secret", doors.pair.ids["channel"]), ("secret", UNKNOWN["channel"]), ("other", own)):
        asked = integrations_calls.RunCommandRequest(caller=doors.pair.intruder, channel=room, command=command, key="k")
        await not_found(doors.integrations.RunCommand(asked, timeout=5))


async def create_action_endpoint(doors: Doors) -> None:
    """A bot of the first tenant has no endpoint in the second."""
    asked = integrations_calls.CreateActionEndpointRequest(
        caller=doors.pair.intruder, url="https://hooks.example.com/", bot="bot:x"
    )
    assert (await doors.integrations.CreateActionEndpoint(asked, timeout=5)).endpoint.tenant == doors.pair.tenant


async def list_action_endpoints(doors: Doors) -> None:
    for caller, known in ((doors.pair.intruder, []), (doors.pair.victim, [doors.pair.ids["endpoint"]])):
        asked = integrations_calls.ListActionEndpointsRequest(caller=caller)
        found = await doors.integrations.ListActionEndpoints(asked, timeout=5)
        assert [each.id for each in found.endpoints] == known


async def delete_action_endpoint(doors: Doors) -> None:
    for endpoint in (doors.pair.ids["endpoint"], UNKNOWN["endpoint"]):
        asked = integrations_calls.DeleteActionEndpointRequest(caller=doors.pair.intruder, endpoint=endpoint)
        await not_found(doors.integrations.DeleteActionEndpoint(asked, timeout=5))
    await list_action_endpoints(doors)


async def run_action(doors: Doors) -> None:
    for known in (doors.pair.ids, UNKNOWN):
        asked = integrations_calls.RunActionRequest(
            caller=doors.pair.intruder, channel=known["channel"], message=known["message"], block="b", value="v", key="k"
        )
        await not_found(doors.integrations.RunAction(asked, timeout=5))


async def answer_command(doors: Doors) -> None:
    for token in (doors.pair.ids["answer"], UNKNOWN["answer"]):
        await not_found(
            doors.integrations.AnswerCommand(integrations_calls.AnswerCommandRequest(token=token, text="x"), timeout=5)
        )


# Bots.


async def create_bot(doors: Doors) -> None:
    made = (await doors.own("CreateBot", name="x")).bot.id
    assert made not in {each.id for each in (await doors.theirs("ListBots")).bots}


async def list_bots(doors: Doors) -> None:
    assert len((await doors.own("ListBots")).bots) == 0
    assert {each.id for each in (await doors.theirs("ListBots")).bots} == {doors.pair.ids["bot"], doors.pair.ids["hook"]}


def of_a_bot(rpc: str, /, **fields: Any) -> Callable[[Doors], Awaitable[None]]:
    """Return the case of an RPC about a bot of the first tenant."""

    async def case(doors: Doors) -> None:
        known = doors.pair.ids
        before = (await doors.theirs("ListBots"), await doors.theirs("ListBotTokens", bot=known["bot"]))
        for bot in (known["bot"], known["hook"], UNKNOWN["bot"]):
            token = {"token": known["token"]} if rpc == "RevokeBotToken" else {}
            await doors.absent(rpc, bot=bot, **token, **fields)
        assert (await doors.theirs("ListBots"), await doors.theirs("ListBotTokens", bot=known["bot"])) == before

    return case


async def identify_bot(doors: Doors) -> None:
    """The first tenant's token is none of the second's."""
    shown = token_credential(doors.pair.ids["shown"])
    assert shown is not None
    asked = calls.IdentifyBotRequest(tenant=shown.tenant, digest=shown.digest)
    assert (await doors.messages.IdentifyBot(asked, timeout=5)).bot == doors.pair.ids["bot"]
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await doors.messages.IdentifyBot(calls.IdentifyBotRequest(tenant=doors.pair.tenant, digest=shown.digest), timeout=5)
    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED


CASES: dict[str, Callable[[Doors], Awaitable[None]]] = {
    "AdmitUser": admit_user,
    "OpenSessions": open_sessions,
    "BeginBrowserSession": begin_browser_session,
    "ListBrowserSessions": list_browser_sessions,
    "EndBrowserSessions": end_browser_sessions,
    "ListUsers": list_users,
    "RevokeUser": revoke_user,
    "BlockUser": block_user,
    "EraseUser": erase_user,
    "CreateBot": create_bot,
    "ListBots": list_bots,
    "UpdateBot": of_a_bot("UpdateBot", name="mine now", disabled=True),
    "CreateBotToken": of_a_bot("CreateBotToken", name="x", scopes=[nouns.BOT_SCOPE_READ]),
    "ListBotTokens": of_a_bot("ListBotTokens"),
    "RevokeBotToken": of_a_bot("RevokeBotToken"),
    "IdentifyBot": identify_bot,
    "BlockPeer": block_peer,
    "ListBlockedPeers": list_blocked_peers,
    "ListAudit": list_audit,
    "ListChannels": list_channels,
    "ListInvitations": list_invitations,
    "ListMentions": list_mentions,
    "CreateChannel": create_channel,
    "SearchMessages": search_messages,
    "CatchUp": catch_up,
    "FetchEvents": fetch_events,
    "FetchRanges": fetch_ranges,
    "GetHeads": get_heads,
    "CreateUpload": create_upload,
    "CompleteUpload": uploads("CompleteUpload"),
    "GetUpload": uploads("GetUpload"),
    "GetLink": uploads("GetLink", variant=LinkVariant.LINK_VARIANT_THUMBNAIL),
    "ResolveUploads": uploads("ResolveUploads"),
    "GetPresence": get_presence,
    "Attach": attach,
    "HandOver": hand_over,
    "Relay": relay,
    "TakeSession": take_session,
    "CreateWebhook": create_webhook,
    "ListIntegrationAudit": list_integration_audit,
    "CreateCommand": create_command,
    "ListCommands": list_commands,
    "DeleteCommand": delete_command,
    "RunCommand": run_command,
    "CreateActionEndpoint": create_action_endpoint,
    "ListActionEndpoints": list_action_endpoints,
    "DeleteActionEndpoint": delete_action_endpoint,
    "RunAction": run_action,
    "AnswerCommand": answer_command,
    "ListWebhooks": list_webhooks,
    "UpdateWebhook": webhooks("UpdateWebhook"),
    "DeleteWebhook": webhooks("DeleteWebhook"),
    "RotateWebhookSecret": webhooks("RotateWebhookSecret"),
    "ListDeliveries": webhooks("ListDeliveries"),
    "GetDelivery": webhooks("GetDelivery"),
    "ResendDeliveries": webhooks("ResendDeliveries"),
}


def test_every_rpc_has_a_case() -> None:
    driven = {method.name for method in RPCS if about_a_channel(method)} | CASES.keys()
    assert driven == {method.name for method in RPCS}  # a new RPC needs a case


async def test_rpcs_about_a_channel_give_the_same_answer_for_foreign_and_unknown_ids(doors: Doors) -> None:
    before = await doors.pair.ann.log(doors.pair.ids["channel"])
    for method in filter(about_a_channel, RPCS):
        name, fields = method.name, method.input_type.fields_by_name
        filled: dict[str, Any] = {"caller": doors.pair.intruder, "user": "bob", "users": ["bob"], "role": Role.ROLE_MEMBER}
        filled |= {
            "text": "x",
            "name": "x",
            "reason": "x",
            "seconds": 9,
            "resolution": ReportResolution.REPORT_RESOLUTION_ACTED,
            "key": "the-key",
        }
        told = []
        for known in (doors.pair.ids, UNKNOWN):
            given = {**filled, **known, "message": PostMessage(text="x") if name == "PostMessage" else known["message"]}
            asked = request(name, **{field: value for field, value in given.items() if field in fields})
            told.append((await not_found(getattr(doors.messages, name)(asked, timeout=5))).details())
        assert told[0] == told[1], name
    assert await doors.pair.ann.log(doors.pair.ids["channel"]) == before


@pytest.mark.parametrize("name", sorted(CASES))
async def test_other_rpcs_reach_no_data_of_the_other_tenant(doors: Doors, name: str) -> None:
    before = await doors.pair.ann.log(doors.pair.ids["channel"])
    await CASES[name](doors)
    assert await doors.pair.ann.log(doors.pair.ids["channel"]) == before
