"""Scopes and tenants: every RPC of every service is called on a real server with and without the required ones."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from joserfc.jwk import OKPKey

from chassis.callers import CallerConfig, Callers
from chassis.config import Address, ConfigError, ProcessConfig, load
from chassis.grpc_client import open_channel
from chassis.grpc_server import require_declared, serve
from chassis.identity import Identity, public_jwk
from chassis.scopes import COSTS, NEEDED, TABLE, Scope, audience_of, require_costs
from chassis.tenancy import tenant_paths, tenants
from hubbub.gateway.v1 import gateway_service_pb2
from hubbub.integrations.v1 import integrations_service_pb2
from hubbub.media.v1 import media_service_pb2
from hubbub.messages.v1 import feed_service_pb2, messages_pb2, messages_service_pb2
from hubbub.presence.v1 import presence_service_pb2

SERVICES = [
    service
    for module in (
        messages_service_pb2,
        feed_service_pb2,
        media_service_pb2,
        presence_service_pb2,
        integrations_service_pb2,
        gateway_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
]
RPCS = {f"/{service.full_name}/{rpc.name}": rpc for service in SERVICES for rpc in service.methods}
KEYS = {name: OKPKey.generate_key("Ed25519") for name in ("gateway", "shop", "wrong-scope", "unknown")}


def others(scope: Scope) -> list[Scope]:
    return [each for each in Scope if each not in (scope, Scope.GATEWAY)]


def known(scope: Scope) -> list[CallerConfig]:
    """Return three callers: the gateway; one with the scope and one tenant; one with all other scopes and all tenants."""
    keys = {name: [public_jwk(key)] for name, key in KEYS.items()}
    own = [] if scope is Scope.GATEWAY else [CallerConfig("shop", keys["shop"], [scope], ["acme"])]
    gateway = CallerConfig("gateway", keys["gateway"], list(Scope), ["*"], calls_per_second=0)
    return [gateway, *own, CallerConfig("wrong-scope", keys["wrong-scope"], others(scope), ["*"])]


def test_every_rpc_has_a_scope_and_the_table_names_no_other_rpc() -> None:
    assert NEEDED.keys() == RPCS.keys()
    assert len(NEEDED) == sum(len(rpcs.split()) for _, _, rpcs in TABLE), "an RPC is in two rows"


def test_an_rpc_without_a_cost_does_not_start_a_service() -> None:
    assert all(needed.cost > 0 for needed in NEEDED.values())
    row = (Scope.ADMIN, "hubbub.messages.v1.MessagesService", "ListUsers DropEverything")
    with pytest.raises(TypeError, match="DropEverything"):
        require_costs([row], COSTS)
    require_declared([service.full_name for service in SERVICES])
    with pytest.raises(ConfigError, match=r"grpc\.health"):
        require_declared(["grpc.health.v1.Health"])


@pytest.mark.parametrize("path", RPCS)
def test_every_rpc_has_a_tenant_unless_it_is_the_gateways_own_or_about_the_caller(path: str) -> None:
    scope = NEEDED[path].scope
    assert bool(tenant_paths(RPCS[path].input_type)) == NEEDED[path].names_tenants or scope is Scope.GATEWAY
    assert NEEDED[path].names_tenants or scope is Scope.FEED


@dataclass(frozen=True, slots=True)
class _Answering(grpc.GenericRpcHandler):
    """Answers one RPC with an empty response."""

    path: str
    rpc: MethodDescriptor

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        if handler_call_details.method != self.path:
            return None
        answer = GetMessageClass(self.rpc.output_type)
        shape: dict[str, Any] = {
            "request_deserializer": GetMessageClass(self.rpc.input_type).FromString,
            "response_serializer": answer.SerializeToString,
        }

        async def once(_request: object, _context: object) -> Message:
            return answer()

        async def streamed(_request: object, _context: object) -> AsyncIterator[Message]:
            yield answer()

        match self.rpc.client_streaming, self.rpc.server_streaming:
            case False, False:
                return grpc.unary_unary_rpc_method_handler(once, **shape)
            case False, True:
                return grpc.unary_stream_rpc_method_handler(streamed, **shape)
            case _:
                return grpc.stream_stream_rpc_method_handler(streamed, **shape)


async def status(target: str, path: str, caller: str | None, tenant: str) -> grpc.StatusCode:
    """Return the status of a call by `caller` for `tenant`."""
    rpc = RPCS[path]
    request: Any = GetMessageClass(rpc.input_type)()
    for path_to_tenant in tenant_paths(rpc.input_type):
        place = request
        for name in path_to_tenant[:-1]:
            field = getattr(place, name)
            place = field.add() if hasattr(field, "add") else field
        setattr(place, path_to_tenant[-1], tenant)
    identity = Identity(caller, KEYS[caller]) if caller else None
    async with open_channel(target, identity) as channel:
        kind = f"{'stream' if rpc.client_streaming else 'unary'}_{'stream' if rpc.server_streaming else 'unary'}"
        call = getattr(channel, kind)(path, type(request).SerializeToString, GetMessageClass(rpc.output_type).FromString)
        try:
            if rpc.client_streaming:  # sends nothing: a write that crosses the refusal ends with INTERNAL (grpc issue 36066)
                async for _ in call(timeout=5):
                    pass
            elif rpc.server_streaming:
                async for _ in call(request, timeout=5):
                    pass
            else:
                await call(request, timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("path", RPCS)
async def test_an_rpc_requires_its_scope_and_its_tenant(path: str) -> None:
    scope = NEEDED[path].scope

    def add(server: grpc.aio.Server) -> None:
        server.add_generic_rpc_handlers((_Answering(path, RPCS[path]),))

    config = load(ProcessConfig, {"HUBBUB_DRAIN_SECONDS": "1"})
    async with serve(config, Address("127.0.0.1", 0), add, [], callers=Callers(known(scope))) as port:
        target = f"127.0.0.1:{port}"
        assert await status(target, path, None, "acme") is grpc.StatusCode.UNAUTHENTICATED
        assert await status(target, path, "unknown", "acme") is grpc.StatusCode.UNAUTHENTICATED
        assert await status(target, path, "wrong-scope", "acme") is grpc.StatusCode.PERMISSION_DENIED
        assert await status(target, path, "gateway", "acme") is grpc.StatusCode.OK
        if not NEEDED[path].names_tenants:
            assert await status(target, path, "shop", "") is grpc.StatusCode.OK
        elif scope is not Scope.GATEWAY:
            assert await status(target, path, "shop", "acme") is grpc.StatusCode.OK
            assert await status(target, path, "shop", "beta") is grpc.StatusCode.PERMISSION_DENIED
            assert await status(target, path, "shop", "") is grpc.StatusCode.PERMISSION_DENIED


async def test_an_rpc_missing_from_the_table_is_always_refused() -> None:
    path = "/hubbub.messages.v2.MessagesService/PostMessage"

    def add(server: grpc.aio.Server) -> None:
        rpc = RPCS["/hubbub.messages.v1.MessagesService/PostMessage"]
        server.add_generic_rpc_handlers((_Answering(path, rpc),))

    config = load(ProcessConfig, {"HUBBUB_DRAIN_SECONDS": "1"})
    async with (
        serve(config, Address("127.0.0.1", 0), add, [], callers=Callers(known(Scope.ADMIN))) as port,
        open_channel(f"127.0.0.1:{port}", Identity("gateway", KEYS["gateway"])) as channel,
    ):
        call: Any = channel.unary_unary(path)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", timeout=5)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_all_tenants_of_a_request_are_found() -> None:
    sessions = [
        messages_service_pb2.AdmitUserRequest(caller=messages_pb2.Caller(tenant=tenant)) for tenant in ("acme", "beta", "acme")
    ]
    assert list(tenants(messages_service_pb2.OpenSessionsRequest(sessions=sessions))) == ["acme", "beta", "acme"]
    assert list(tenants(messages_service_pb2.OpenSessionsRequest())) == []
    assert list(tenants(messages_service_pb2.PostMessageRequest())) == [""]
    assert list(tenants(messages_service_pb2.GetHeadsRequest())) == []


def test_the_audience_is_the_package_without_version() -> None:
    assert audience_of("/hubbub.messages.v1.MessagesService/PostMessage") == "hubbub.messages"
