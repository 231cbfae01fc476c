"""The local stack: real servers from Python wheels, and a supervisor that runs the whole product on one machine.

Tests use the fixtures of `stack.fixtures` (single servers) and `Stack` (the whole product).
"""

import os

# Tests start servers while gRPC calls are in progress, and gRPC's fork handlers sometimes end the child. It reads this when it is
# imported, which `stack.launch` does.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

from stack.launch import Gateway, Stack

__all__ = ["Gateway", "Stack"]
