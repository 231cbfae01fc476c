"""Makes the ids of messages: UUIDs of version 7 (RFC 9562, section 5.7), in the order of time.

Here and not in PostgreSQL, whose builds without OpenSSL open /dev/urandom for each: a twentieth of what storing a post cost it.
"""

from __future__ import annotations

import os
import secrets
import time

from chassis.context import current_request_id
from messages.message import CommandId, MessageId

_TICKS_PER_MILLISECOND = 4096
"""The 12 bits after the milliseconds tell their fraction (method 3 of section 6.2)."""
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def message_ids(count: int) -> list[MessageId]:
    """New ids, each above the one before; above those of an earlier call once `count` ticks (244 ns each) have passed since."""
    first = time.time_ns() * _TICKS_PER_MILLISECOND // 1_000_000
    noise = os.urandom(8 * count).hex()
    return [_spelled("%015x" % (first + n), noise[16 * n : 16 * n + 16]) for n in range(count)]


def rpc_command_id() -> CommandId:
    """A command id for an RPC: `<request>/<random>`. Ids of socket commands contain no slash."""
    return CommandId(f"{current_request_id() or ''}/{secrets.token_hex(6)}")


def _spelled(ticks: str, noise: str) -> MessageId:
    return MessageId(f"{ticks[:8]}-{ticks[8:12]}-7{ticks[12:]}-{_VARIANT[noise[0]]}{noise[1:4]}-{noise[4:]}")
