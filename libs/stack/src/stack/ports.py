"""Finds free ports on the loopback interface."""

import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

from stack.errors import InUseError

LOOPBACK = "127.0.0.1"
_LOWEST = 12_000
_MAX_TRIES = 500
_given: set[int] = set()
"""Returned by this process before, and perhaps not in use yet."""


def free(count: int = 1, *, offsets: tuple[int, ...] = (0,)) -> list[int]:
    """Return `count` different free ports. Each is also free at all of its `offsets`.

    They lie below the range for outgoing connections. A server that restarts after a crash therefore finds its port free, and a
    client that connects in between cannot connect to itself. Raises InUseError if there is none.
    """
    return [_free_one(offsets) for _ in range(count)]


def is_free(port: int) -> bool:
    """Return whether no process listens on the port."""
    with contextlib.suppress(OSError), _bound(port):
        return True
    return False


def require_free(port: int, variable: str) -> None:
    """Raise InUseError, naming the variable that selects the port, if the port is in use."""
    if not is_free(port):
        raise InUseError(f"Port {port} is already in use: stop the process that uses it, or set {variable} to another port.")


def _free_one(offsets: tuple[int, ...]) -> int:
    for _ in range(_MAX_TRIES):
        port = random.randrange(_LOWEST, _first_outgoing() - max(offsets))
        wanted = {port + offset for offset in offsets}
        if wanted.isdisjoint(_given) and all(map(is_free, wanted)):
            _given.update(wanted)
            return port
    raise InUseError("There is no free port on the loopback interface.")


def _first_outgoing() -> int:
    """Return the first port of the range for outgoing connections; 32,768, Linux's default, if unknown."""
    setting = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(setting.read_text().split()[0]) if setting.exists() else 32_768
    return first if first > 2 * _LOWEST else 65_536


@contextlib.contextmanager
def _bound(port: int) -> Iterator[None]:
    with socket.socket() as listener:
        # As servers do: a port with closing connections counts as free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(1)
        yield
