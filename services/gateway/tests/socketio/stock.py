"""npm's socket.io-client, run by Node."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.gateway.tests.house import House

CHANNEL = "0190a0b0-0000-7000-8000-000000000001"
NODE_PATH = Path(__file__).parents[4] / "web" / "node_modules"
SCRIPT = Path(__file__).parent / "stock_client.cjs"
TRANSPORTS = pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]], ids="+".join)
SECONDS = 20


class Stock:
    """A stock client in Node."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.seqs: list[int] = []
        """The numbers of all events so far."""

    async def told(self, *wanted: str) -> Any:
        """What the client tells next of these; the rest is skipped."""
        assert self._process.stdout is not None
        async with asyncio.timeout(SECONDS):
            while line := await self._process.stdout.readline():
                what, value = json.loads(line)
                if what == "event":
                    self.seqs.append(value["seq"])
                if what in wanted:
                    return value
        raise AssertionError("the client has ended")

    def tell(self, *command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def answer(self, name: str, value: Any) -> Any:
        """Emit with a callback; the arguments that it was called with."""
        self.tell("emit", name, value)
        return await self.told("answer")


@asynccontextmanager
async def stock(url: str, **options: Any) -> AsyncIterator[Stock]:
    arguments = json.dumps({"url": url, **options})
    environment = {**os.environ, "NODE_PATH": str(NODE_PATH)}
    process = await asyncio.create_subprocess_exec("node", SCRIPT, arguments, stdin=PIPE, stdout=PIPE, env=environment)
    try:
        yield Stock(process)
    finally:
        process.kill()
        await process.wait()


def by_header(house: House, user: str = "ann", **claims: Any) -> dict[str, Any]:
    return {"extraHeaders": house.bearer(user, **claims)}


def post(key: str) -> dict[str, str]:
    return {"channel": CHANNEL, "key": key, "text": "x"}
