"""Counts bytecode instructions and allocated blocks of Python, which do not depend on the machine's speed or load."""

import gc
import sys
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any


async def instructions(work: Callable[[], Awaitable[None]]) -> int:
    """Return the number of bytecode instructions run by `work`, including all called functions."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        await work()
    finally:
        sys.settrace(before)
    return count


def blocks() -> int:
    """Return the number of memory blocks allocated by Python, after a garbage collection."""
    gc.collect()
    return sys.getallocatedblocks()
