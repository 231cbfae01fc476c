"""The receivers of docs/integrations.md accept what is signed, once, and nothing else."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from integrations import signing
from stack import ports, probes
from stack.process import Command, running

PAGE = (Path(__file__).parents[3] / "docs" / "integrations.md").read_text()
_, SECTION = PAGE.split("\n## Outgoing webhooks\n")
SECRET = signing.new_secret()
NODE = shutil.which("node")
SUFFIXES = {"python": "py", "js": "mjs"}


def example(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", SECTION.partition("\n## ")[0], re.DOTALL)
    return str(found).replace("whsec_…", signing.shown(SECRET))


@asynccontextmanager
async def receiver(language: str, folder: Path) -> AsyncIterator[tuple[Path, str]]:
    """Run an example on a free port; yields its output and its URL."""
    port = ports.free()[0]
    file, output = folder / f"receiver.{SUFFIXES[language]}", folder / "output"
    file.write_text(example(language).replace("8700", str(port)))
    runtime = sys.executable if language == "python" else str(NODE)

    async def ready() -> bool:
        return bool(await probes.lines("127.0.0.1", port, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 1))

    async with running(Command(language, (runtime, str(file)), ready), output):
        yield output, f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize(
    "language", ["python", pytest.param("js", marks=pytest.mark.skipif(NODE is None, reason="node is not installed"))]
)
async def test_a_receiver_accepts_what_is_signed_once_and_nothing_else(language: str, tmp_path: Path) -> None:
    body = b'{"type":"message.posted","text":"caf\xc3\xa9"}'
    now = int(time.time())
    good = signing.headers("d1", now, body, [SECRET])
    rotated = signing.headers("d2", now, body, [signing.new_secret(), SECRET])
    bad = [
        {},
        signing.headers("d3", now, body, [signing.new_secret()]),
        signing.headers("d3", now - 600, body, [SECRET]),
        signing.headers("d3", now, b"{}", [SECRET]),
        {**good, "webhook-id": "d3"},
        {**good, "webhook-timestamp": "x"},
        {**good, "webhook-signature": "v1,"},
    ]
    async with receiver(language, tmp_path) as (output, url), aiohttp.ClientSession() as client:

        async def status(headers: dict[str, str]) -> int:
            async with client.post(url, data=body, headers=headers) as answer:
                return answer.status

        assert [await status(each) for each in bad] == [401] * len(bad)
        assert [await status(each) for each in (good, good, rotated)] == [204, 204, 204]
    said = [line for line in output.read_text().splitlines() if line.startswith("message.posted")]
    assert len(said) == 2
