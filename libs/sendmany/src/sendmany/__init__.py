"""Sends bytes to many sockets in one call.

The kernel's `send` is most of the cost of a delivery; a transport's bookkeeping and Python are most of the rest. `send_each` has
neither. It knows no event loop: the caller keeps the order of bytes on each socket, and gives to the transport what was not sent
(docs/adr/0017).
"""

from collections.abc import Sequence


def send_nothing(files: Sequence[int], chunks: Sequence[bytes], /) -> list[tuple[int, int]]:
    """Replace `send_each` where it is not compiled: send nothing, so that the transports send everything."""
    if len(files) != len(chunks):
        raise ValueError("There must be one chunk for each file descriptor")
    return [(index, 0) for index in range(len(files))]


try:
    from sendmany._native import send_each

    NATIVE = True
except ImportError:
    send_each = send_nothing
    NATIVE = False

__all__ = ["NATIVE", "send_each", "send_nothing"]
