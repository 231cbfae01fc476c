"""Finds free ports on the loopback interface."""

import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

from stack.errors import InUseError

LOOPBACK = "127.0.0.1"
_LOWEST = 12_000
_TRIES = 500
_reserved: dict[int, socket.socket] = {}
"""The ports that this process has chosen, each with the socket that reserves it; see `_reserve`."""


def free(count: int = 1, *, offsets: tuple[int, ...] = (0,)) -> list[int]:
    """Return `count` different free ports. Each is also free at all of its `offsets`.

    No other Hubbub process on this machine is given them while this one runs, so test runs and stacks can start side by side.
    They lie below the range that the kernel gives to outgoing connections: a server that restarts after a crash finds its
    port free, and a client that retries meanwhile cannot connect to itself. Raises InUseError when none is found.
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
    for _ in range(_TRIES):
        port = random.randrange(_LOWEST, _first_outgoing() - max(offsets))
        wanted = {port + offset for offset in offsets}
        if all(map(is_free, wanted)) and all(map(_reserve, wanted)):
            return port
    raise InUseError("There is no free port on the loopback interface.")


def _reserve(port: int) -> bool:
    """Reserve the port until this process ends; False when a process has reserved it already.

    The kernel lets one process at a time bind an abstract Unix socket (unix(7)) and frees the name when that process ends.
    """
    reservation = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        reservation.bind(f"\0hubbub-port-{port}")
    except OSError:
        reservation.close()
        return False
    _reserved[port] = reservation
    return True


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
