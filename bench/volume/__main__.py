"""Makes a store with volume: `python -m bench.volume fill`.

fill --database URL     fills an empty database that was migrated; URL is the owner's
fill --keep DIR         makes a PostgreSQL with the store in DIR, unless DIR has one of the same shape
serve --keep DIR        runs that PostgreSQL until Ctrl-C, and prints the URLs of its roles
time --keep DIR         times the reads behind the HTTP operations on it
index --keep DIR        builds its search index
search --keep DIR       times searches
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from pathlib import Path

from bench.volume import store
from bench.volume.load import fill
from bench.volume.searching import index, time_searches
from bench.volume.shape import Shape
from bench.volume.timing import time_reads


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.volume", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("fill", "serve", "time", "index", "search"):
        command = commands.add_parser(name)
        place = command.add_mutually_exclusive_group(required=True)
        place.add_argument("--keep", type=Path, help="folder of the store")
        if name == "fill":
            place.add_argument("--database", help="URL of the owner of an empty, migrated database")
        if name in ("time", "search"):
            command.add_argument(
                "--rounds", type=int, default=5, help="of each read for each of some 200 members, or of ten searches of each kind"
            )
        Shape.add_arguments(command)
    arguments = parser.parse_args()
    shape = Shape.from_arguments(arguments)
    started = time.monotonic()
    if arguments.keep:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_keep(arguments.keep.resolve(), shape, arguments.command, getattr(arguments, "rounds", 0)))
    else:
        fill(arguments.database, shape)
    print(f"Done in {time.monotonic() - started:.0f} s.")


async def _keep(folder: Path, shape: Shape, command: str, rounds: int) -> None:
    async with store.kept(folder, shape) as urls:
        if command == "time":
            await time_reads(urls, shape.seed, rounds)
            return
        if command == "index":
            await index(urls)
            return
        if command == "search":
            await time_searches(urls, shape.seed, 10 * rounds)
            return
        print(f"owner    {urls.owner}\nservice  {urls.service}\nsweeper  {urls.sweeper}", flush=True)
        if command == "serve":
            await asyncio.Event().wait()


main()
