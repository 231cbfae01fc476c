"""Rows that the tables refuse."""

from __future__ import annotations

import psycopg
import pytest

from services.messages.tests.conftest import Town

_NEW = "INSERT INTO channels (tenant, kind, name, history, direct_key) VALUES (%(tenant)s, {kind}, 'x', {history}, {key})"


@pytest.mark.parametrize(
    "statement",
    [
        _NEW.format(kind="'party'", history="'all'", key="NULL"),
        _NEW.format(kind="'group'", history="'some'", key="NULL"),
        _NEW.format(kind="'group'", history="'all'", key="'ann bob'"),
        _NEW.format(kind="'direct'", history="'all'", key="NULL"),
        "UPDATE channels SET kind = 'direct' WHERE id = %(channel)s",
        "UPDATE channels SET history = 'none' WHERE id = %(channel)s",
        "UPDATE channels SET direct_key = 'ann bob' WHERE id = %(channel)s",
        "UPDATE members SET role = 'king' WHERE channel = %(channel)s",
        """INSERT INTO members (channel, "user", tenant, role, joined_seq, read_seq)
        VALUES (%(channel)s, 'bob', %(tenant)s, 'king', 1, 1)""",
    ],
)
async def test_an_invalid_row_is_not_stored(town: Town, statement: str) -> None:
    channel = await town.channel("ann")
    await town.people("bob")
    with pytest.raises(psycopg.errors.CheckViolation):
        async with town.database.connection([town.tenant]) as connection:
            await connection.execute(statement.encode(), {"channel": channel, "tenant": town.tenant})
