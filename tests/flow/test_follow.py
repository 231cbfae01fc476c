"""The programs of docs/grpc.md that follow the log run as printed, over the death of the feed's process and their own."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from stack.callers import PRODUCT, key_file
from tests.flow.world import World

PAGE = Path(__file__).parents[2] / "docs" / "grpc.md"


class Program:
    """A running program, and the messages that it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def messages(self, channel: str, count: int) -> list[tuple[int, str]]:
        """Wait for so many lines about a channel; returns number and text of each."""
        assert self._process.stdout is not None
        found: list[tuple[int, str]] = []
        async with asyncio.timeout(30):
            while len(found) < count:
                line = (await self._process.stdout.readline()).decode()
                assert line, "the program ended"
                where, seq, _, text = line.rstrip("\n").split(" ", 3)
                if where == channel:
                    found.append((int(seq), text))
        return found


@contextlib.asynccontextmanager
async def running(world: World, *command: str) -> AsyncIterator[Program]:
    """A program inside the block, with the identity of the local stack's product."""
    variables = {"HUBBUB_FEED_TARGET": world.target("feed"), "HUBBUB_PRODUCT_KEY_FILE": str(key_file(world.stack.data, PRODUCT))}
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **variables}, stdout=asyncio.subprocess.PIPE, limit=1024 * 1024
    )
    try:
        yield Program(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_the_python_program_misses_nothing(world: World) -> None:
    block = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    first = (await ann.post(room, "first"))["seq"]
    async with running(world, sys.executable, "-c", block) as program:
        assert await program.messages(room, 1) == [(first, "first")]
        await ann.post(room, "live")
        assert await program.messages(room, 1) == [(first + 1, "live")]
        pid = world.stack.kill("messages-feed")
        await ann.post(room, "while the feed is dead")
        await world.stack.started("messages-feed", after=pid)
        seen: list[tuple[int, str]] = []
        while not seen or seen[-1][1] != "while the feed is dead":  # what was not acknowledged comes again
            seen += await program.messages(room, 1)
        assert seen[-1][0] == first + 2
    await ann.post(room, "while the program is dead")
    async with running(world, sys.executable, "-c", block) as program:
        seen = []
        while not seen or seen[-1][1] != "while the program is dead":
            seen += await program.messages(room, 1)
    numbers = [number for number, _ in seen]
    assert numbers == list(range(numbers[0], first + 4))
