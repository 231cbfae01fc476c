"""Reconciliation finds a stored entry that never came over the bus, although no later entry reveals the hole."""

import re
from urllib.parse import urlsplit

import psycopg

from stack import Stack
from tests.flow.world import World, eventually, live

_PLANT = """
WITH last AS (SELECT * FROM entries WHERE channel = %(channel)s ORDER BY seq DESC LIMIT 1),
planted AS (
  INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, message, text)
  SELECT channel, seq + 1, posts, tenant, 2, actor, at, message, 'planted' FROM last
)
UPDATE channels SET head = head + 1 WHERE id = %(channel)s
"""
HOLES = re.compile(r"^hubbub_gateway_reconcile_holes_total (\S+)$", re.MULTILINE)


async def test_a_planted_hole_is_found_filled_and_counted(open_world: World) -> None:
    ann, bob = await open_world.people("ann", "bob")
    room = await open_world.room(ann, bob)
    message = (await ann.post(room, "hello"))["message"]
    async with live(ann) as here, live(bob) as there:
        before = await _holes(open_world)
        await _plant(open_world.stack, room)
        for socket in (here, there):
            event = await socket.expect("event", within=15, kind="message.edited")
            assert event["data"] == {"message": message, "text": "planted"}
        await eventually(lambda: _counted(open_world, [count + 1 for count in before]))


async def _plant(stack: Stack, channel: str) -> None:
    """Store an entry without publishing it."""
    address = urlsplit(str(stack.endpoints["HUBBUB_MESSAGES_DATABASE_URL"]))
    password = (stack.data / "keys" / "postgres-postgres").read_text().strip()
    url = f"postgresql://postgres:{password}@{address.hostname}:{address.port}{address.path}"
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(_PLANT, {"channel": channel})


async def _holes(world: World) -> list[float]:
    found = [HOLES.search(await world.metrics(gateway.name)) for gateway in world.stack.gateways]
    return [float(each[1]) for each in found if each is not None]


async def _counted(world: World, expected: list[float]) -> bool:
    return await _holes(world) == expected
