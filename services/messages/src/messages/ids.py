"""Generates ids: UUIDs of version 7 (RFC 9562, section 5.7) for messages, and command ids for RPCs.

Message ids are generated here and not in PostgreSQL: its builds without OpenSSL open /dev/urandom for each id, which took 5 % of
the cost of storing a post.
"""

from __future__ import annotations

import os
import secrets
import time

from chassis.context import current_request_id
from messages.message import CommandId, MessageId

_TICKS_PER_MILLISECOND = 4096
"""The 12 bits after the milliseconds are their fraction (section 6.2, method 3)."""
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def message_ids(count: int) -> list[MessageId]:
    """New ids in ascending order. They exceed those of an earlier call once `count` ticks (244 ns each) have passed since."""
    first = time.time_ns() * _TICKS_PER_MILLISECOND // 1_000_000
    random = os.urandom(8 * count).hex()
    return [_format("%015x" % (first + n), random[16 * n : 16 * n + 16]) for n in range(count)]


def rpc_command_id() -> CommandId:
    """A command id for an RPC: `<request>/<random>`. Ids of socket commands contain no slash."""
    return CommandId(f"{current_request_id() or ''}/{secrets.token_hex(6)}")


def _format(ticks: str, random: str) -> MessageId:
    return MessageId(f"{ticks[:8]}-{ticks[8:12]}-7{ticks[12:]}-{_VARIANT[random[0]]}{random[1:4]}-{random[4:]}")
