"""The local stack: real servers from Python wheels, and a supervisor that runs the whole product on one machine.

Tests use the fixtures of `stack.fixtures` (single servers) and `Stack` (the whole product).
"""

from stack.launch import Gateway, Stack

__all__ = ["Gateway", "Stack"]
