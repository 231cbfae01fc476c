"""Each process does its work with its own Redis user, and that user can do nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
import redis.asyncio

from bus import topics
from bus.bus import Current, Delivery
from bus.connect import open_bus, open_signals
from bus.gateway_leases import open_gateway_leases
from stack.valkey import Valkey

_COMMANDS, _EVENTS, _REPLIES = topics.commands(0), topics.events(0), topics.replies("g1")


async def test_a_command_and_its_event_travel_with_the_users_of_the_processes(valkey_server: Valkey, valkey_url: str) -> None:
    async with (
        asyncio.timeout(20),
        redis.asyncio.from_url(valkey_url) as admin,
        open_bus(valkey_server.url(0, "gateway")) as gateway,
        open_bus(valkey_server.url(0, "messages-worker")) as worker,
        open_bus(valkey_server.url(0, "messages-api")) as api,
        gateway.follow([_EVENTS, _REPLIES, topics.revocations()]) as feed,
        worker.work([_COMMANDS], "messages", "w") as work,
    ):
        await gateway.ping()
        await gateway.publish([(_COMMANDS, b"command")])
        delivery = await anext(aiter(work))
        assert [entry.payload for entry in delivery.entries] == [b"command"]
        await work.complete([delivery], [(_EVENTS, b"event"), (_REPLIES, b"reply"), (topics.rejected(), b"broken")])
        await api.publish([(_EVENTS, b"republished"), (topics.revocations(), b"revoked")])
        await gateway.publish([(topics.revocations(), b"echo")])
        payloads: set[bytes] = set()
        while payloads < {b"event", b"reply", b"republished", b"revoked", b"echo"}:
            item = await anext(feed)
            assert isinstance(item, Delivery)
            payloads |= {entry.payload for entry in item.entries}
        assert await admin.xlen("bus:commands.0") == 0


async def test_a_reader_reads_events_with_the_user_of_search(valkey_server: Valkey, valkey_url: str) -> None:
    assert valkey_url

    async def no_cursors(_topics: Sequence[str]) -> dict[str, str]:
        return {}

    async with (
        asyncio.timeout(20),
        open_bus(valkey_server.url(0, "messages-api")) as api,
        open_bus(valkey_server.url(0, "messages-search")) as search,
        search.read([_EVENTS], "search.1", "one", no_cursors) as feed,
    ):
        await search.check([_EVENTS], durable=False)
        while not isinstance(await anext(feed), Current):
            pass
        await api.publish([(_EVENTS, b"event")])
        item = await anext(feed)
        while not isinstance(item, Delivery):
            item = await anext(feed)
        assert [entry.payload for entry in item.entries] == [b"event"]


async def test_the_oldest_entries_are_trimmed_by_the_users_that_publish(valkey_server: Valkey, valkey_url: str) -> None:
    small = topics.Topic("events.1", 2, topics.WhenFull.TRIM)
    revocations = topics.Topic("revocations", 2, topics.WhenFull.TRIM)
    assert valkey_url
    for user, topic in (("messages-api", small), ("messages-worker", small), ("gateway", revocations)):
        async with open_bus(valkey_server.url(0, user)) as bus:
            for _ in range(5):
                await bus.publish([(topic, b"x")])


async def test_leases_and_signals_work_with_the_users_of_the_processes(valkey_server: Valkey, valkey_url: str) -> None:
    assert valkey_url
    url = valkey_server.url(0, "gateway")
    async with (
        asyncio.timeout(20),
        open_signals(url) as signals,
        open_gateway_leases(url) as leases,
        open_gateway_leases(valkey_server.url(0, "messages-api")) as api,
        signals.listen(["n"]) as listener,
    ):
        await signals.put("ticket", b"v", 5)
        assert await signals.take("ticket") == b"v"
        await signals.send("n", b"payload")
        assert (await anext(listener)).payload == b"payload"
        await leases.renew("g1", "10.0.0.1:9000")
        assert await leases.addresses() == {"g1": "10.0.0.1:9000"}
        await leases.acknowledge("g1", "r1")
        await api.unacknowledged("r1")
        await leases.leave("g1")


_EVAL = ("EVAL", "return redis.call('XADD', 'bus:events.0', '*', 'p', 'x')", "0")


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("gateway", ("XADD", "bus:events.0", "*", "p", "x")),
        ("gateway", ("XADD", "bus:replies.g2", "*", "p", "x")),
        ("gateway", ("XREAD", "STREAMS", "bus:commands.0", "0")),
        ("gateway", ("XTRIM", "bus:events.0", "MAXLEN", "0")),
        ("gateway", ("XDEL", "bus:commands.0", "1-1")),
        ("gateway", ("DEL", "bus:commands.0")),
        ("gateway", ("SET", "bus:commands.0", "x")),
        ("gateway", ("SET", "bus:events.0", "x")),
        ("gateway", ("SET", "bus:lease:messages:commands.0", "g")),
        ("gateway", ("GET", "bus:value:ticket")),
        ("gateway", ("HGETALL", "presence:user:t/u")),
        ("gateway", ("PUBLISH", "presence:changes", "[]")),
        ("gateway", _EVAL),
        ("messages-api", ("XADD", "bus:commands.0", "*", "p", "x")),
        ("messages-api", ("XREAD", "STREAMS", "bus:commands.0", "0")),
        ("messages-api", ("GETDEL", "bus:value:ticket")),
        ("messages-api", ("ZADD", "bus:gateways", "1", "g")),
        ("messages-worker", ("XADD", "bus:commands.0", "*", "p", "x")),
        ("messages-worker", ("XADD", "bus:revocations", "*", "p", "x")),
        ("messages-worker", ("PUBLISH", "bus:signal:n", "x")),
        ("messages-search", ("XADD", "bus:events.0", "*", "p", "x")),
        ("messages-search", ("XTRIM", "bus:events.0", "MAXLEN", "0")),
        ("messages-search", ("XREAD", "STREAMS", "bus:commands.0", "0")),
        ("messages-search", ("SET", "bus:lease:messages:commands.0", "s")),
        ("messages-search", _EVAL),
        ("messages-feed", ("XADD", "bus:events.0", "*", "p", "x")),
        ("messages-feed", ("SET", "bus:lease:search.1:events.0", "s")),
        ("presence", ("XADD", "bus:events.0", "*", "p", "x")),
        ("presence", ("GETDEL", "bus:value:ticket")),
        ("presence", ("PUBLISH", "bus:signal:n", "x")),
        *(
            (user, command)
            for user in ("gateway", "messages-api", "messages-worker", "messages-search", "messages-feed", "presence")
            for command in (
                ("FLUSHALL",),
                ("FLUSHDB",),
                ("KEYS", "*"),
                ("SCAN", "0"),
                ("CONFIG", "GET", "*"),
                ("CONFIG", "SET", "requirepass", ""),
                ("ACL", "LIST"),
                ("ACL", "SETUSER", "eve", "on", "nopass"),
                ("MONITOR",),
                ("SHUTDOWN",),
                ("CLIENT", "KILL", "TYPE", "normal"),
                ("SCRIPT", "FLUSH"),
                ("SUBSCRIBE", "other"),
                ("PSUBSCRIBE", "*"),
                ("FUNCTION", "FLUSH"),
                ("REPLICAOF", "NO", "ONE"),
            )
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
async def test_a_user_can_do_nothing_beyond_its_work(valkey_server: Valkey, user: str, command: tuple[str, ...]) -> None:
    async with redis.asyncio.from_url(valkey_server.url(0, user)) as client:
        with pytest.raises(redis.exceptions.NoPermissionError):
            await client.execute_command(*command)  # type: ignore[no-untyped-call]


async def test_a_script_of_a_gateway_cannot_write_what_its_user_cannot(valkey_server: Valkey) -> None:
    async with redis.asyncio.from_url(valkey_server.url(0, "gateway")) as client:
        for script in (_EVAL[1], "return redis.call('FLUSHALL')", "return redis.call('GET', 'bus:value:ticket')"):
            sha = await client.script_load(script)
            with pytest.raises(redis.exceptions.ResponseError, match="ACL failure"):
                await client.evalsha(sha, 1, "bus:epoch")
            with pytest.raises(redis.exceptions.NoPermissionError):
                await client.evalsha(sha, 1, "bus:events.0")
