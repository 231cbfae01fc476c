"""Writes the people of a day and their rooms, as rows."""

import uuid

import psycopg

from bench.people import TENANT, People

_USERS = """
INSERT INTO users (tenant, id, name)
SELECT %(tenant)s, id, 'Person ' || n FROM unnest(%(ids)s::text[]) WITH ORDINALITY AS u(id, n)
"""
_ROOMS = """
INSERT INTO channels (id, tenant, kind, name, history, head, members)
SELECT id, %(tenant)s, 'group', 'Room ' || members || ' ' || n, 'all', 1, members
FROM unnest(%(ids)s::uuid[], %(sizes)s::int[]) WITH ORDINALITY AS r(id, members, n)
"""
_CREATED = """
INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, details)
SELECT id, 1, 0, %(tenant)s, 12, owner, now(), '{}' FROM unnest(%(ids)s::uuid[], %(owners)s::text[]) AS r(id, owner)
"""
_MEMBERS = """
INSERT INTO members (channel, "user", tenant, role, joined_seq, read_seq, sort_name)
SELECT channel, id, %(tenant)s, 'member', 1, 1, id FROM unnest(%(channels)s::uuid[], %(ids)s::text[]) AS m(channel, id)
"""


async def fill(url: str, people: People) -> list[list[str]]:
    """Write users, rooms and memberships. Return the ids of the rooms by layer."""
    layers = []
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SELECT set_config('hubbub.tenants', %s, false)", ["{" + TENANT + "}"])
        users = [people.user(number) for number in range(people.users)]
        await connection.execute(_USERS.encode(), {"tenant": TENANT, "ids": users})
        for rooms in people.rooms:
            ids = [str(uuid.uuid4()) for _ in rooms]
            made = {
                "tenant": TENANT,
                "ids": ids,
                "sizes": [len(room) for room in rooms],
                "owners": [people.user(room[0]) for room in rooms],
            }
            await connection.execute(_ROOMS.encode(), made)
            await connection.execute(_CREATED.encode(), made)
            members = [(each, people.user(member)) for each, room in zip(ids, rooms, strict=True) for member in room]
            joined = {"tenant": TENANT, "channels": [each for each, _ in members], "ids": [member for _, member in members]}
            await connection.execute(_MEMBERS.encode(), joined)
            layers.append(ids)
        await connection.execute("ANALYZE")
    return layers
