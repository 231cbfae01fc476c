"""The programs of docs/socketio.md, as they stand there, against the running product."""

import asyncio
import json
import os
import re
import uuid
from asyncio.subprocess import PIPE
from typing import Any

from tests.flow.socketio_page import PAGE, ROOT, program
from tests.flow.world import World

PRELUDE = """
const { createInterface } = require("node:readline");
const [url, token] = process.argv.slice(1);
const show = (line) => console.log(line);
"""
DRIVER = """
createInterface({ input: process.stdin }).on("line", (line) => say(...JSON.parse(line)));
"""


async def test_the_javascript_client_of_the_page_chats(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    script = PRELUDE + program("js").replace(
        'import { io } from "socket.io-client";', 'const { io } = require("socket.io-client");'
    )
    process = await asyncio.create_subprocess_exec(
        "node",
        *("-e", script + DRIVER, "--", ann.url, ann.token or ""),
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, "NODE_PATH": str(ROOT / "web" / "node_modules")},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told: list[str] = []

    async def until(*wanted: str) -> None:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            while not set(wanted) <= set(told):
                told.append((await process.stdout.readline()).decode().rstrip())

    try:
        await until("in a room")
        process.stdin.write(json.dumps([room, "hello"]).encode() + b"\n")
        await until("ann: hello")
        seq = next(item["seq"] for item in await ann.log(room) if item["kind"] == "message.posted")
        await until(f"stored as {seq}")
        await bob.post(room, "hi", "k")
        await until("bob: hi")
        process.stdin.write(json.dumps([str(uuid.uuid4()), "lost"]).encode() + b"\n")
        await until("not sent: lost")
    finally:
        process.kill()
        await process.wait()


async def test_the_python_client_of_the_page_chats(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    told: list[str] = []
    heard = asyncio.Event()

    def show(line: str) -> None:
        told.append(line)
        heard.set()

    async def until(wanted: str) -> None:
        async with asyncio.timeout(20):
            while wanted not in told:
                heard.clear()
                await heard.wait()

    names: dict[str, Any] = {"show": show, "uuid": uuid, "url": ann.url, "token": ann.token}
    exec(compile(program("python"), "docs/socketio.md", "exec"), names)
    client = names["client"]
    [connecting] = re.findall(r"^It connects with `await (.*)`\.$", PAGE, re.MULTILINE)
    try:
        await eval(connecting, names)
        await names["say"](room, "hello")
        await until("ann: hello")
        await bob.post(room, "hi", "k")
        await until("bob: hi")
        await names["say"](str(uuid.uuid4()), "lost")
        assert told[-1] == "not sent: lost"
        assert names["positions"] == {room: (await ann.log(room))[-1]["seq"]}
    finally:
        await client.disconnect()
