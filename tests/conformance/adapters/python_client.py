"""The adapter of the Python client: commands on standard input, reports on standard output, one JSON object per line."""

import asyncio
import itertools
import json
import sys
from collections.abc import Coroutine
from typing import Any

from hubbub_client import Client, Ended, Event, HubbubError, Left, Refused, Reset


class Driven:
    """One client under test."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._client: Client | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def do(self, command: dict[str, Any]) -> None:
        """Carry out one command."""
        match command["do"]:
            case "connect":
                self._client = self.make(command["url"], command["tokens"])
                await self._client.__aenter__()
                self._start(self._follow(self._client))
            case "send":
                self._start(self._send(command))
            case "close":
                if self._client is not None:
                    await self._client.close()
                for task in self._tasks:
                    await task
                self._report("closed")

    def make(self, url: str, tokens: list[str]) -> Client:
        """Make the client. It gets the tokens in order, and the last one again and again."""
        each = itertools.chain(tokens, itertools.repeat(tokens[-1]))
        return Client(url, lambda: next(each))

    async def _follow(self, client: Client) -> None:
        try:
            async for update in client:
                match update:
                    case Event():
                        text = {"text": update.data["text"]} if "text" in update.data else {}
                        self._report("event", channel=update.channel, seq=update.seq, **text)
                    case Reset():
                        self._report("reset", channel=update.channel, seq=update.seq)
                    case Left():
                        self._report("left", channel=update.channel)
        except Ended as ended:
            self._report("ended", code=ended.code)

    async def _send(self, command: dict[str, Any]) -> None:
        assert self._client is not None
        try:
            stored = await self._client.send(command["channel"], command["text"])
            self._report("acked", **{"as": command["as"], "seq": stored.seq})
        except Refused as refused:
            self._report("refused", **{"as": command["as"], "reason": refused.reason})
        except HubbubError:
            pass  # it ended first

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.create_task(work))

    def _report(self, report: str, **fields: Any) -> None:
        print(json.dumps({"client": self._name, "report": report, **fields}), flush=True)  # noqa: T201


async def main(driven: type[Driven] = Driven) -> None:
    """Carry out commands until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    clients: dict[str, Driven] = {}
    async with asyncio.TaskGroup() as group:
        async for line in reader:
            command = json.loads(line)
            client = clients.setdefault(command["client"], driven(command["client"]))
            group.create_task(client.do(command))


if __name__ == "__main__":
    asyncio.run(main())
