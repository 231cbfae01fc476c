"""`python -m stack` (`make run`) runs the whole product on one machine until Ctrl-C.

It starts the servers, creates and migrates the databases, starts the services and then the gateways. It stops them in reverse.
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
from stack.callers import caller_variables
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
    """Run until a signal (exit status 0), or until the stack cannot run (an error message, exit status 1)."""
    parser = argparse.ArgumentParser(prog="python -m stack", description="Run Hubbub and all its servers; see `make help`.")
    parser.add_argument("--end-with-parent", action="store_true", help="stop when the calling process ends")
    if parser.parse_args().end_with_parent:
        end_with_parent()
    try:
        settings = Settings.read(os.environ, Path.cwd())
        with _locked(settings.data):
            asyncio.run(_run(settings))
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _run(settings: Settings) -> None:
    """Start everything, and stop it at a signal."""
    console = Console(sys.stdout)
    running = asyncio.create_task(_start_and_wait(settings, console))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop_or_exit, running, console)
    try:
        await running
    except asyncio.CancelledError:
        console.write(f"Hubbub has stopped. Its data is kept in {settings.data}.")
    finally:
        console.close()


def _stop_or_exit(running: asyncio.Task[None], console: Console) -> None:
    """Stop in order at the first signal, and exit at the second. Every child then dies with its parent."""
    if running.cancelling():
        os._exit(1)
    console.write("Stopping Hubbub. Press Ctrl-C again to stop at once.")
    running.cancel()


async def _start_and_wait(settings: Settings, console: Console) -> None:
    data = settings.data
    product = Product.choose(settings, caller_variables(settings))
    servers = Servers.choose(settings, product.origins())
    credentials.signing_key(data / "keys" / "dev.pem")
    console.write(f"Starting Hubbub and its servers. Data and server logs: {data}")
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
            console.write(f"Hubbub is ready: {product.gateway_url(0)}")
            console.write("Open it in two windows and sign in as two users. Press Ctrl-C to stop.")
            await asyncio.Event().wait()


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    """Lock the data folder for this process. Raises InUseError if another process has locked it."""
    for folder in (data, data / "logs"):
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    with (data / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise InUseError(
                f"Hubbub is already running on {data} (process {owner}): "
                "stop it, or set HUBBUB_DATA and HUBBUB_PORT to run another one."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextlib.contextmanager
def _published(data: Path) -> Iterator[Callable[[str, Mapping[str, object]], None]]:
    """Yield a function that writes JSON files for tools. The files are deleted when the block ends."""
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
