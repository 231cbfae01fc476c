"""`python -m stack`: the whole product on one machine, until Ctrl-C.

Owns the order of things: servers, databases, migrations, services, gateways, one line with the address; and back.
"""

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from stack import credentials
from stack.callers import trust
from stack.console import Console
from stack.errors import InUseError, StackError
from stack.process import end_with_parent
from stack.product import Product
from stack.servers import Servers
from stack.settings import Settings
from stack.supervisor import Supervisor

_SERVERS_SECONDS = 60
_MIGRATION_SECONDS = 120
_SERVICES_SECONDS = 60


def main() -> int:
    """Run until a signal asks to end (status 0), or something makes it impossible (one line, status 1)."""
    parser = argparse.ArgumentParser(prog="python -m stack", description="Runs Hubbub with all its servers; see `make help`.")
    parser.add_argument("--end-with-parent", action="store_true", help="end when the calling process does")
    if parser.parse_args().end_with_parent:
        end_with_parent()
    try:
        settings = Settings.read(os.environ, Path.cwd())
        with _claimed(settings.data):
            asyncio.run(_run(settings))
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _run(settings: Settings) -> None:
    """Bring everything up, and wait for the signal to end it."""
    console = Console(sys.stdout)
    bringing_up = asyncio.create_task(_stay_up(settings, console))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _end_or_die, bringing_up, console)
    try:
        await bringing_up
    except asyncio.CancelledError:
        console.say("Hubbub has ended.")
    finally:
        console.close()


def _end_or_die(bringing_up: asyncio.Task[None], console: Console) -> None:
    """End in order at the first signal, and at once at the second: every child dies with its parent."""
    if bringing_up.cancelling():
        os._exit(1)
    console.say("Ending. Once more to end at once.")
    bringing_up.cancel()


async def _stay_up(settings: Settings, console: Console) -> None:
    data = settings.data
    product = Product.choose(settings, trust(settings))
    servers = Servers.choose(settings, product.origins())
    credentials.signing_key(data / "keys" / "dev.pem")
    with _published(data) as publish:
        async with Supervisor(console, lambda pids: publish("pids.json", pids), data / "logs") as supervisor:
            supervisor.launch(await servers.prepare())
            await supervisor.until_ready(_SERVERS_SECONDS)
            stores = await servers.addresses(settings)
            migrations = product.migrations(stores)
            await asyncio.gather(*(supervisor.run_once(command, _MIGRATION_SECONDS) for command in migrations))
            supervisor.launch(product.services(stores))
            supervisor.launch(product.gateways(stores))
            await supervisor.until_ready(_SERVICES_SECONDS)
            publish("endpoints.json", {**product.endpoints(), **stores})
            console.say(f"Hubbub is ready: {product.gateway_url(0)}")
            await asyncio.Event().wait()


@contextlib.contextmanager
def _claimed(data: Path) -> Iterator[None]:
    """Hold the data folder for this process alone. Raises InUseError when another has it."""
    for folder in (data, data / "logs"):
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    with (data / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise InUseError(
                f"Hubbub already runs on {data} (process {owner}): end it, or set HUBBUB_DATA and HUBBUB_PORT to run another."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextlib.contextmanager
def _published(data: Path) -> Iterator[Callable[[str, Mapping[str, object]], None]]:
    """Return a function that writes a JSON file for tools; what was written goes when the block ends."""
    names = ("pids.json", "endpoints.json")

    def publish(name: str, content: Mapping[str, object]) -> None:
        credentials.write_private(data / name, json.dumps(content, indent=2).encode())

    try:
        for name in names:
            (data / name).unlink(missing_ok=True)
        yield publish
    finally:
        for name in names:
            (data / name).unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
