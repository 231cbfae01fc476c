"""A program for the supervisor's tests: `supervised.py FOLDER JSON` supervises the commands in JSON ([{name, code}, …]).

Each command is Python code that creates the file named in UP once it is ready. The program writes the pids to
FOLDER/pids.json and prints all lines. It creates FOLDER/ready once all commands are ready, and exits on SIGTERM.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from stack import credentials
from stack.console import Console
from stack.process import Command
from stack.supervisor import Supervisor


def command(up: Path, name: str, code: str) -> Command:
    async def is_up() -> bool:
        return up.exists()

    argv = (sys.executable, "-u", "-c", code)
    return Command(name, argv, ready=is_up, env={**os.environ, "UP": str(up)}, grace_seconds=2)


async def main(folder: Path, specifications: list[dict[str, str]]) -> None:
    def record(pids: object) -> None:
        credentials.write_private(folder / "pids.json", json.dumps(pids).encode())

    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    console = Console(sys.stdout)
    async with Supervisor(console, record, folder) as supervisor:
        for each in specifications:
            supervisor.launch([command(folder / f"{each['name']}.up", each["name"], each["code"])])
        await supervisor.until_ready(10)
        (folder / "ready").touch()
        await ended.wait()
    console.close()


asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
