"""A server on which the bus cannot work is told by its cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import redis.asyncio
from prometheus_client import REGISTRY

from bus import redis_keys
from bus.bus import BusUnavailable, BusUnfit
from bus.redis_streams import RedisBus
from bus.topics import commands, events
from stack import ports

if TYPE_CHECKING:
    from libs.bus.tests.conftest import Server

Open = Callable[[], RedisBus]
TOPICS = [commands(0), events(0)]


@pytest.mark.parametrize(
    ("option", "value", "cause"),
    [
        ("maxmemory-policy", "allkeys-lru", "it evicts keys (allkeys-lru): set maxmemory-policy to noeviction"),
        ("maxmemory-policy", "volatile-ttl", "it evicts keys (volatile-ttl): set maxmemory-policy to noeviction"),
        ("maxmemory", "32mb", "its maxmemory of 32 MiB is below the 40 MiB of the bounds: raise it"),
        ("appendonly", "no", "it keeps no data over a restart: set appendonly yes, or attach a replica"),
    ],
)
async def test_a_setting_that_does_not_fit_is_named_until_it_fits(
    bus_of: Open, admin: redis.asyncio.Redis, option: str, value: str, cause: str
) -> None:
    bus = bus_of()
    await bus.check(TOPICS, durable=True)
    before = (await admin.config_get(option))[option] or ""
    await admin.config_set(option, value)
    with pytest.raises(BusUnfit) as caught:
        await bus.check(TOPICS, durable=True)
    assert str(caught.value) == cause
    await admin.config_set(option, before)
    await bus.check(TOPICS, durable=True)


async def test_a_bus_that_need_not_keep_its_data_may_forget_it(bus_of: Open, admin: redis.asyncio.Redis) -> None:
    await admin.config_set("appendonly", "no")
    await bus_of().check(TOPICS, durable=False)


async def test_a_server_in_cluster_mode_is_unfit(bus_of: Open, server: Server) -> None:
    await server.kill(forget=True)
    # Without a port of its own, the cluster's bus takes the server's port + 10,000, which another process may hold.
    await server.start("--cluster-enabled", "yes", "--cluster-port", str(ports.free()[0]))
    with pytest.raises(BusUnfit, match="cluster mode"):
        await bus_of().check(TOPICS, durable=False)


async def test_a_replica_is_unfit(bus_of: Open, admin: redis.asyncio.Redis, unused_tcp_port: int) -> None:
    await admin.replicaof("127.0.0.1", unused_tcp_port)
    with pytest.raises(BusUnfit, match="replica"):
        await bus_of().check(TOPICS, durable=False)
    await admin.replicaof("NO", "ONE")
    await bus_of().check(TOPICS, durable=False)


async def test_a_server_without_memory_is_unavailable_although_it_answers(bus_of: Open, admin: redis.asyncio.Redis) -> None:
    bus = bus_of()
    await admin.config_set("maxmemory", 1)
    await bus.ping()
    with pytest.raises(BusUnavailable, match="OOM"):
        await bus.check([], durable=False)
    await admin.config_set("maxmemory", 0)
    await bus.check([], durable=False)


async def test_a_user_that_may_not_write_is_told(server: Server, admin: redis.asyncio.Redis) -> None:
    await admin.acl_setuser(
        "reader",
        enabled=True,
        passwords=["+secret"],
        keys=["*"],
        categories=["+@read", "+@connection"],
        commands=["+info", "+script"],
    )
    bus = RedisBus(server.url.replace("//default:", "//reader:").replace(server.url.split(":")[2].split("@")[0], "secret"))
    with pytest.raises(BusUnavailable, match="NOPERM"):
        await bus.check([], durable=False)
    bus.close()


async def test_a_check_records_how_long_commands_have_waited(bus_of: Open, admin: redis.asyncio.Redis) -> None:
    seconds, _ = await admin.time()
    await admin.xadd(redis_keys.stream(commands(0).name), {"p": b""}, id=f"{(seconds - 100) * 1000}-0")
    await admin.xadd(redis_keys.stream(events(0).name), {"p": b""}, id=f"{(seconds - 900) * 1000}-0")
    await bus_of().check(TOPICS, durable=False, backlog=True)
    assert 100 <= (REGISTRY.get_sample_value("hubbub_bus_backlog_seconds") or 0) < 200
    await admin.flushall()
    await bus_of().check(TOPICS, durable=False, backlog=True)
    assert REGISTRY.get_sample_value("hubbub_bus_backlog_seconds") == 0
