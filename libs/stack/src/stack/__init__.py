"""The local stack: real servers from wheels, and the supervisor that runs the whole product on one machine.

For tests: the fixtures of `stack.fixtures` (one server), and `Stack` (the whole product).
"""

from stack.launch import Gateway, Stack

__all__ = ["Gateway", "Stack"]
