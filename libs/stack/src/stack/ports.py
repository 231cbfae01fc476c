"""Free ports on the loopback interface.

Leaves listening on them to whoever asked.
"""

import contextlib
import socket
from collections.abc import Iterator

from stack.errors import InUseError

LOOPBACK = "127.0.0.1"
_HIGHEST = 55535  # SeaweedFS and Valkey's cluster bus add 10,000 to a port of theirs
_TRIES = 200


def free(count: int = 1, *, offsets: tuple[int, ...] = (0,)) -> list[int]:
    """Return `count` different ports that nothing listens on, each free at all of its `offsets` too.

    Another program can take one before it is used; the kernel hands ports out in random order, so that is rare.
    """
    with contextlib.ExitStack() as held:
        return [_hold_one(held, offsets) for _ in range(count)]


def consecutive(count: int) -> int:
    """Return the first of `count` neighbouring free ports."""
    return free(offsets=tuple(range(count)))[0]


def is_free(port: int) -> bool:
    """Tell whether nothing listens on the port."""
    with contextlib.suppress(OSError), _bound(port):
        return True
    return False


def require_free(port: int, variable: str) -> None:
    """Raise InUseError, naming the variable that chooses another, when something listens on the port."""
    if not is_free(port):
        raise InUseError(f"Port {port} is already in use; stop what listens there or set {variable} to another port.")


def _hold_one(held: contextlib.ExitStack, offsets: tuple[int, ...]) -> int:
    for _ in range(_TRIES):
        with contextlib.ExitStack() as candidate:
            port = candidate.enter_context(_bound(0)).getsockname()[1]
            if port > _HIGHEST:
                continue
            try:
                for offset in offsets:
                    if offset:
                        candidate.enter_context(_bound(port + offset))
            except OSError:
                continue
            held.push(candidate.pop_all())
            return int(port)
    raise InUseError("No free port was found on the loopback interface.")


@contextlib.contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        # As servers do: a port whose last connections are still closing counts as free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(1)
        yield listener
