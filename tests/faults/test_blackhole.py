"""The proxy forwards while open, drops all bytes while shut, and never forwards again on a connection that lost bytes."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from tests.faults.blackhole import Blackhole


@pytest.fixture
async def hole() -> AsyncIterator[Blackhole]:
    """A proxy to a server that answers every line with the same line."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with Blackhole(*server.sockets[0].getsockname()[:2]).listening() as proxy:
        yield proxy
    server.close()


async def dial(hole: Blackhole) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(hole.url)
    return await asyncio.open_connection(address.hostname, address.port)


async def test_bytes_get_through_while_it_is_open(hole: Blackhole) -> None:
    reader, writer = await dial(hole)
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"
    writer.close()


async def test_a_connection_that_lost_bytes_stays_silent_and_open_and_a_new_one_works(hole: Blackhole) -> None:
    old_reader, old_writer = await dial(hole)
    old_writer.write(b"before\n")
    await old_reader.readline()
    hole.open.clear()
    old_writer.write(b"swallowed\n")
    silence = asyncio.create_task(old_reader.readline())
    await asyncio.wait([silence], timeout=0.2)
    hole.open.set()
    old_writer.write(b"swallowed too\n")
    new_reader, new_writer = await dial(hole)
    new_writer.write(b"after\n")
    assert await new_reader.readline() == b"after\n"
    assert not silence.done()
    silence.cancel()
    for writer in (old_writer, new_writer):
        writer.close()
