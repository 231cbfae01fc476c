"""A volume store in a folder of its own, made once and used again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

from bench.volume.load import fill
from bench.volume.shape import Shape
from chassis.migrate import migrate, migrations
from stack.postgres import DatabaseUrls, postgres

DATABASE = "messages"


@contextlib.asynccontextmanager
async def kept(folder: Path, shape: Shape) -> AsyncIterator[DatabaseUrls]:
    """Run the PostgreSQL in `folder`, whose database `messages` holds the store, for the length of the block.

    The store is made again when its shape or the schema differs.
    """
    label = _Label(folder / "store.json", shape)
    async with postgres(folder) as server:
        if not label.is_right():
            await server.drop_database(DATABASE)
            urls = await server.ensure_service_database(DATABASE)
            await migrate(urls.owner, label.schema)
            await asyncio.to_thread(fill, urls.owner, shape)
            label.write()
        yield await server.ensure_service_database(DATABASE)


class _Label:
    """A file that says which store the folder has."""

    def __init__(self, file: Path, shape: Shape) -> None:
        self.schema = migrations("messages")
        self._file = file
        self._text = json.dumps({"shape": asdict(shape), "schema": [each.digest for each in self.schema]})

    def is_right(self) -> bool:
        return self._file.exists() and self._file.read_text() == self._text

    def write(self) -> None:
        self._file.write_text(self._text)
