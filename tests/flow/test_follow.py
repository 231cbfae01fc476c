"""The programs of docs/grpc.md that follow the log run as printed, over the death of the feed's process and their own."""

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from importlib.resources import files
from pathlib import Path

import pytest

from stack.callers import PRODUCT, key_file
from tests.flow.world import World

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "grpc.md"


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
    variables = {
        "HUBBUB_FEED_TARGET": world.target("feed"),
        "HUBBUB_PRODUCT_KEY_FILE": str(key_file(world.stack.data, PRODUCT)),
        "HUBBUB_PROTOS": str(ROOT / "protos"),
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT / "web",  # where Node finds the packages
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        limit=1024 * 1024,
    )
    try:
        yield Program(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def blocks(language: str) -> list[str]:
    """The programs of the page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def python_program(_folder: Path) -> list[str]:
    return [sys.executable, "-c", blocks("python")[1]]


def node_program(_folder: Path) -> list[str]:
    (program,) = blocks("js")
    return ["node", "--input-type=module", "--eval", program]


def go_program(folder: Path) -> list[str]:
    """Build the program with its stubs, which takes a minute when nothing is cached."""
    (command,), (program,) = blocks("sh")[-1:], blocks("go")
    shutil.copytree(Path(__file__).parent / "go", folder, dirs_exist_ok=True)
    (folder / "main.go").write_text(program)
    tools = ["google.golang.org/protobuf/cmd/protoc-gen-go", "google.golang.org/grpc/cmd/protoc-gen-go-grpc"]
    subprocess.run(["go", "build", "-o", "bin/", *tools], cwd=folder, check=True)
    protoc = folder / "bin" / "protoc"
    include = files("grpc_tools") / "_proto"
    protoc.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m grpc_tools.protoc -I "{include}" "$@"\n')
    protoc.chmod(0o755)
    variables = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HUBBUB_PROTOS": str(ROOT / "protos")}
    subprocess.run(["sh", "-ec", command], cwd=folder, env=variables, check=True)
    subprocess.run(["go", "build", "-o", "bin/follow", "."], cwd=folder, check=True)
    return [str(folder / "bin" / "follow")]


_BUILDS_GO = pytest.mark.skipif(
    shutil.which("go") is None or "BUILD_GO" not in os.environ, reason="needs Go, and minutes: `make soak` sets BUILD_GO"
)
PROGRAMS = [
    pytest.param(python_program, id="Python"),
    pytest.param(node_program, id="Node"),
    pytest.param(go_program, id="Go", marks=[pytest.mark.soak, _BUILDS_GO]),
]


@pytest.mark.parametrize("program_in", PROGRAMS)
async def test_a_program_of_the_documentation_misses_nothing(
    world: World, tmp_path: Path, program_in: Callable[[Path], list[str]]
) -> None:
    command = program_in(tmp_path)
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    first = (await ann.post(room, "first"))["seq"]
    async with running(world, *command) as program:
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
    async with running(world, *command) as program:
        seen = []
        while not seen or seen[-1][1] != "while the program is dead":
            seen += await program.messages(room, 1)
    numbers = [number for number, _ in seen]
    assert numbers == list(range(numbers[0], first + 4))
