"""More connections than a gateway can hold: the surplus is told so, and the operator's port goes on answering."""

import asyncio
import contextlib
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest

from stack import ports, probes
from stack.process import Command, running
from tests.flow.world import World
from tests.security.signing import settings

FILES = 200
GATEWAY = f"ulimit -n {FILES} && exec {sys.executable} -m gateway"
ASKED = 260
"""Connections, as many more than the files."""


@pytest.mark.parametrize("start", [b"", b"GET /v1/connect HTTP/1.1\r\nHost: x\r\nX-Slow: x"], ids=["silent", "half a head"])
async def test_at_the_file_limit_the_surplus_is_refused_and_probes_are_answered(
    world: World, tmp_path: Path, start: bytes
) -> None:
    port, ops = ports.free(2)
    env = settings(world.stack, tmp_path) | {
        "HUBBUB_LISTEN": f"127.0.0.1:{port}",
        "HUBBUB_OPS_LISTEN": f"127.0.0.1:{ops}",
        "HUBBUB_INSTANCE": "small",
    }
    command = Command("small", ("/bin/sh", "-c", GATEWAY), partial(probes.http_ok, "127.0.0.1", ops, "/readyz"), env)
    log = tmp_path / "small.log"
    async with running(command, log), contextlib.AsyncExitStack() as stack, httpx.AsyncClient() as http:
        answers = []
        for number in range(ASKED):
            if number % 10 == 0:  # lets the gateway accept these before the next, as more clients would come
                assert (await http.get(f"http://127.0.0.1:{ops}/healthz")).status_code == 200
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(start)
            answers.append(asyncio.create_task(status(reader)))
        async with asyncio.timeout(15):
            assert await next(asyncio.as_completed(answers[FILES:])) == b"503"
        for path, expected in (("/healthz", 200), ("/readyz", 503), ("/metrics", 200)):
            assert (await http.get(f"http://127.0.0.1:{ops}{path}")).status_code == expected, path
        assert log.read_text().count("connections_full") == 1


async def status(reader: asyncio.StreamReader) -> bytes:
    """The status of the answer, nothing where the connection ends without one."""
    with contextlib.suppress(ConnectionError):
        return (await reader.readline())[9:12]
    return b""
