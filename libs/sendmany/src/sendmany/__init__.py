"""Gives many sockets their bytes in one call.

The kernel's `send` is most of what a delivery costs, and most of the rest is what surrounds it: a transport's bookkeeping and
Python's. `send_each` has neither. It knows no event loop: whoever uses it answers for the order of bytes on each socket, and
gives what could not be sent to its transport (`docs/adr/0016`).
"""

try:
    from sendmany._native import send_each

    NATIVE = True
except ImportError:
    from sendmany.nothing import send_each

    NATIVE = False

__all__ = ["NATIVE", "send_each"]
