"""What frames and operations cost, and what one connection gets of a turn of the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any, ClassVar, cast, get_args

import httpx
import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from bench.tests.counting import instructions
from chassis.bots import BotScope
from chassis.config import ConfigError, load
from chassis.errors import RateLimited, TooLarge
from gateway.config import Config
from gateway.http.operation import operation
from gateway.http.routes import DEVELOPMENT, TABLE
from gateway.identity.identity import Identity
from gateway.metrics import FRAMES_IN
from gateway.protocol import incoming
from gateway.protocol.incoming import COST_BYTES, FRAME_BYTES, FrameRefused, Malformed, decode, require_declarations
from gateway.protocol.scopes import Scope
from gateway.rates.bucket import FLOOD_SECONDS, Bucket
from gateway.rates.shared import SharedRates
from gateway.state import presence as presence_module
from gateway.state.presence import Presences
from gateway.wire.websocket import FRAGMENTS, READ_BYTES, TURN_BYTES, TURN_FRAMES
from services.gateway.tests.house import House, open_house
from services.gateway.tests.test_cookies import GIVEN
from services.gateway.tests.world import World

pytestmark = pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
BURST = 200
SMALLEST_FRAME = 6
"""Bytes of a masked frame without a payload."""
PING = json.dumps({"type": "ping"}).encode()


def spell(first: int, payload: bytes = b"") -> bytes:
    """A client's frame with a mask of zeros."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([first]) + length + bytes(4) + payload


async def answers(connection: ClientConnection, count: int) -> list[Any]:
    """The next frames but `hello`."""
    found: list[Any] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            frame = json.loads(await connection.recv())
            if frame["type"] != "hello":
                found.append(frame)
    return found


async def close_code(connection: ClientConnection) -> int | None:
    async with asyncio.timeout(10):
        try:
            while True:
                await connection.recv()
        except ConnectionClosed:
            return connection.close_code


# Declarations.


def test_a_frame_without_a_cost_or_scope_does_not_start_the_gateway() -> None:
    class Free(incoming.Send, tag="free"):
        """It inherits a cost and declares none."""

        scope: ClassVar[Scope] = BotScope.READ

    class Open(incoming.Send, tag="open"):
        """It inherits a scope and declares none."""

        cost: ClassVar[float] = 3.0

    class Declared(incoming.Send, tag="declared"):
        cost: ClassVar[float] = 3.0
        scope: ClassVar[Scope] = BotScope.READ

    require_declarations([*get_args(incoming.Frame), Declared])
    for lacking in (Free, Open):
        with pytest.raises(TypeError, match=lacking.__name__):
            require_declarations([*get_args(incoming.Frame), lacking])


def test_an_operation_without_a_cost_or_scope_does_not_start_the_gateway() -> None:
    async def read(_request: Request, identity: Identity) -> Response:
        raise NotImplementedError(identity)

    async def public(_request: Request) -> Response:
        raise NotImplementedError

    with pytest.raises(TypeError):
        operation({200: None})  # type: ignore[call-arg]
    for handler, declared in (
        (read, {"cost": 0, "scope": BotScope.READ}),
        (read, {"cost": 1}),
        (public, {"cost": 1, "allowance": "sign_ins", "scope": BotScope.READ}),
        (read, {"cost": 1, "scope": BotScope.READ, "allowance": "sign_ins"}),
        (public, {"cost": 1}),
        (public, {"cost": 1, "allowance": "sends"}),
    ):
        with pytest.raises(TypeError):
            operation({200: None}, **cast(Any, declared))(handler)


def test_only_probes_are_free() -> None:
    free = {path for path, handlers in (*TABLE, *DEVELOPMENT) for each in handlers.values() if not each.cost}
    assert free == {"/healthz", "/readyz", "/metrics"}


def test_production_says_which_proxies_it_trusts() -> None:
    given = {**GIVEN, "HUBBUB_ENV": "production"}
    with pytest.raises(ConfigError, match="HUBBUB_TRUSTED_PROXIES"):
        load(Config, {name: value for name, value in given.items() if name != "HUBBUB_TRUSTED_PROXIES"})
    assert [
        len(SharedRates.of(load(Config, {**given, "HUBBUB_TRUSTED_PROXIES": each})).proxies)
        for each in ("none", "10.0.0.0/8, fd00::/8")
    ] == [0, 2]


# Buckets.


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_one_blow_is_a_flood_and_a_burst_is_not() -> None:
    clock = Clock()
    bucket = Bucket(10, 20, clock)
    seen = []
    for _ in range(20 + 10 * FLOOD_SECONDS + 1):
        seen.append(bucket.flooding)
        bucket.take(1.0)
    assert not any(seen)
    assert bucket.flooding


def test_what_costs_more_than_a_burst_takes_the_whole_burst() -> None:
    bucket = Bucket(10, 5, Clock())
    assert bucket.take(17.0) == 0.0
    assert bucket.take(17.0) == pytest.approx(0.5)


def test_the_users_of_a_tenant_share_an_allowance() -> None:
    rates = SharedRates.of(
        load(Config, {**GIVEN, "HUBBUB_TENANT_SENDS_PER_SECOND": "1", "HUBBUB_TENANT_REQUESTS_PER_SECOND": "1"})
    )
    for charge in (rates.send, rates.request):
        for number in range(10):
            charge("acme", f"user-{number}", 1.0)
        with pytest.raises(RateLimited):
            charge("acme", "another", 1.0)
        charge("beta", "user-0", 1.0)


# Hostile bytes.


def filled(template: str, piece: str) -> bytes:
    """A frame of nearly `FRAME_BYTES`, with `*` as many pieces."""
    return template.replace("*", ",".join([piece] * ((FRAME_BYTES - len(template)) // (len(piece) + 1)))).encode()


HOSTILE = {
    "brackets": filled('{"type":"send","x":[*]}', "[]"),
    "objects": filled('{"type":"send","x":[*]}', "{}"),
    "strings": filled('{"type":"send","x":[*]}', '""'),
    "quotes in strings": filled('{"type":"send","x":[*]}', '"\\"["'),
    "deep groups": filled('{"type":"send","x":[*]}', "[" * 29 + "]" * 29),
    "a wide ref": filled('{"type":"ping","ref":[*]}', "[]"),
    "numbers": filled('{"type":"send","x":[*]}', "1"),
    "fields": ('{"type":"send"' + "".join(f',"{number}":1' for number in range(6_000)) + "}").encode(),
    "digits": b'{"type":"read","channel":"c","seq":' + b"9" * 60_000 + b"}",
    "lone surrogates": b'{"type":"send","channel":"' + b"\\ud800" * 10_000 + b'"}',
    "an open end": b"[" * 65_000,
    "no JSON": b'{"type":"send",' + b"[" * 60_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_no_hostile_frame_is_walked_by_the_interpreter(kind: str) -> None:
    async def work() -> None:
        with contextlib.suppress(Malformed, FrameRefused):
            decode(HOSTILE[kind])

    assert len(HOSTILE[kind]) <= FRAME_BYTES
    assert await instructions(work) < 1_500


@pytest.mark.parametrize(
    ("data", "ref"),
    [
        (filled('{"type":"none","ref":7,"x":[*]}', "[]"), b"7"),
        (filled('{"type":"send","channel":5,"x":[*],"ref":[1]}', '""'), b"[1]"),
        (b'{"type":"send","ref":1,"channel":"' + b"\\ud800" * 1_000 + b'"}', None),
        (b'{"type":"send","ref":1,"channel":"' + b"\\\\ud800" * 1_000 + b'"}', b"1"),
    ],
)
def test_a_large_wrong_frame_is_answered(data: bytes, ref: bytes | None) -> None:
    with pytest.raises(FrameRefused) as refused:
        decode(data)
    assert refused.value.ref is msgspec.UNSET if ref is None else bytes(cast(msgspec.Raw, refused.value.ref)) == ref


@pytest.mark.parametrize(
    "data",
    [
        filled('{"type":"none","x":[*]', "[]"),
        filled('{"type":"none","x":[*,NaN]}', "1"),
        filled('["type",*]', "1"),
        filled('{"type":"none","x":[*,"\\q"]}', '"\\ud800"'),
        filled('{"type":"none","x":[*]}', "[" * 31 + "]" * 31),
        filled('{"type":"ping","ref":[*]}', '"]",' + "[" * 31 + "]" * 31),
    ],
)
def test_large_input_that_is_no_json_object_or_too_deep_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


# Sockets.


async def test_bytes_cost_as_frames_do(house: House) -> None:
    async with house.connect("ann") as ann:
        large = json.dumps({"type": "ping"}) + " " * 15 * COST_BYTES
        for _ in range(20):
            await ann.send(large)
        kinds = [each["type"] for each in await answers(ann, 20)]
        granted = kinds.index("error")
        assert 12 <= granted <= 15  # 15.2 tokens each
        assert set(kinds[:granted]) == {"pong"}


async def test_a_refused_frame_costs_more_than_a_good_one(house: House) -> None:
    async with house.connect("ann") as ann:
        for _ in range(BURST):
            await ann.send('{"type":"none"}')
        reasons = [each["reason"] for each in await answers(ann, BURST)]
        assert 100 <= reasons.index("RATE_LIMITED") <= 150


async def test_a_message_in_too_many_fragments_closes_with_1009(house: House) -> None:
    def fragments(count: int) -> bytes:
        return spell(0x01, b"{") + spell(0x00, b" ") * (count - 2) + spell(0x80, PING[1:])

    async with house.connect("ann") as ann:
        ann.transport.write(fragments(FRAGMENTS))
        assert (await answers(ann, 1))[0]["type"] == "pong"
        ann.transport.write(fragments(FRAGMENTS + 1))
        assert await close_code(ann) == 1009


@pytest.mark.parametrize(
    "piece",
    [spell(0x81, PING), spell(0x8A), spell(0x89, b"x"), spell(0x81, b'{"type":"none"}'), spell(0x81, PING + b" " * 8_200)],
    ids=["pings", "empty pongs", "WebSocket pings", "wrong frames", "large frames"],
)
async def test_a_blow_of_any_frame_closes_with_4004(house: House, piece: bytes) -> None:
    async with house.connect("ann") as ann:
        (connection,) = house.gateway.registry.connections.values()
        ann.transport.write(piece * (4_000_000 // len(piece)))
        assert await close_code(ann) == 4004
        assert connection.transport is not None
        assert not connection.transport.is_reading() or connection.transport.is_closing()


GENEROUS: dict[str, Any] = {"sends_per_second": 100_000, "burst": 100_000, "tenant_sends_per_second": 1_000_000}


@pytest.mark.parametrize("piece", [spell(0x81, PING), spell(0x81, PING + b" " * 1_500)], ids=["small", "large"])
async def test_a_turn_of_the_loop_handles_few_frames_of_one_socket(valkey_url: str, tmp_path: Path, piece: bytes) -> None:
    counter, count = FRAMES_IN.labels("ping"), 400_000 // len(piece)
    async with open_house(valkey_url, tmp_path, **GENEROUS) as house, house.connect("ann") as ann:
        before, steps = counter.value, list[float]()
        ann.transport.write(piece * count)
        async with asyncio.timeout(30):
            while counter.value < before + count:
                seen = counter.value
                await asyncio.sleep(0)
                steps.append(counter.value - seen)
    most_in_a_read = READ_BYTES // SMALLEST_FRAME
    assert max(steps) <= min(TURN_FRAMES + most_in_a_read, TURN_BYTES // len(piece) + 2)
    assert len([step for step in steps if step]) > 5


async def test_bytes_sent_with_the_handshake_have_a_budget_too(valkey_url: str, tmp_path: Path) -> None:
    counter, count = FRAMES_IN.labels("ping"), 5_000
    async with open_house(valkey_url, tmp_path, **GENEROUS) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        before, steps = counter.value, list[float]()
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        head = (
            f"GET /v1/connect HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\nAuthorization: {house.bearer('ann')['Authorization']}\r\n\r\n"
        )
        writer.write(head.encode() + spell(0x81, PING) * count)
        async with asyncio.timeout(30):
            while counter.value < before + count:
                seen = counter.value
                await asyncio.sleep(0)
                steps.append(counter.value - seen)
        writer.transport.abort()
        del reader
    assert max(steps) <= TURN_FRAMES + READ_BYTES // SMALLEST_FRAME


# HTTP.


async def test_reads_are_paid_for_and_another_user_is_not_charged(valkey_url: str, tmp_path: Path) -> None:
    async with (
        open_house(valkey_url, tmp_path, requests_per_second=1, request_burst=20) as house,
        httpx.AsyncClient() as client,
    ):
        found = [await client.get(f"{house.url}/v1/me", headers=house.bearer("ann")) for _ in range(40)]
        assert [each.status_code for each in found[:20]] == [200] * 20
        refusals = [each for each in found if each.status_code == 429]
        assert len(refusals) > 10  # the others are what the bucket regains
        assert {each.json()["reason"] for each in refusals} == {"RATE_LIMITED"}
        assert all(int(each.headers["Retry-After"]) >= 1 for each in refusals)
        assert (await client.get(f"{house.url}/v1/me", headers=house.bearer("bob"))).status_code == 200
        refused = await house.refused(additional_headers=house.bearer("ann"))  # the handshake is another door
        assert (refused.status_code, "Retry-After" in refused.headers) == (429, True)


async def test_rejected_credentials_keep_nobody_from_signing_in(valkey_url: str, tmp_path: Path) -> None:
    async with open_house(valkey_url, tmp_path, unauthenticated_per_second=1) as house, httpx.AsyncClient() as client:
        guess = {"Authorization": f"Bearer {os.urandom(8).hex()}"}
        guesses = [(await client.get(f"{house.url}/v1/me", headers=guess)).status_code for _ in range(100)]
        assert 429 in guesses
        assert (await client.get(f"{house.url}/v1/signin")).status_code == 404  # there is no provider here
        assert (await client.get(f"{house.url}/v1/signin/callback")).status_code == 404
        assert (await client.get(f"{house.url}/v1/signin/options")).status_code == 200


# Watching.


@pytest.fixture
def presences(world: World) -> Presences:
    return Presences(world.registry.writer, cast(Any, None), "g")


def users(count: int, prefix: str = "u") -> frozenset[str]:
    return frozenset(f"{prefix}{number}" for number in range(count))


async def test_a_user_watches_so_many_over_all_sockets(world: World, presences: Presences) -> None:
    one, two = world.connect("ann"), world.connect("ann")
    presences.watch(one, users(1_000))
    presences.watch(two, users(1_000))  # the same people
    with pytest.raises(TooLarge):
        presences.watch(two, users(1, "v"))
    assert two.watched == users(1_000), "what is refused changes nothing"
    presences.watch(one, frozenset())
    presences.watch(two, users(500, "v"))
    presences.watch(world.connect("bob"), users(1_000))


async def test_a_gateway_watches_fewer_than_presence_accepts_and_a_tenant_half(
    world: World, presences: Presences, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_module, "WATCHES", 10)
    monkeypatch.setattr(presence_module, "TENANT_WATCHES", 6)
    ann, bob = world.connect("ann"), world.connect("bob")
    presences.watch(ann, users(4))
    with pytest.raises(TooLarge):
        presences.watch(bob, users(3, "v"))
    presences.watch(bob, users(2, "v"))
    presences.ended(ann)
    presences.watch(bob, users(6, "w"))
    monkeypatch.setattr(presence_module, "TENANT_WATCHES", 100)
    with pytest.raises(TooLarge):
        presences.watch(bob, users(11, "x"))
    assert presence_module.USER_WATCHES < 500_000
