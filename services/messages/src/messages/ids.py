"""Makes the ids of messages: UUIDs of version 7 (RFC 9562, section 5.7), in the order of time.

Here and not in PostgreSQL, whose builds without OpenSSL open /dev/urandom for each: a twentieth of what storing a post cost it.
"""

from __future__ import annotations

import os
import time

from messages.message import MessageId

_TICKS_PER_MILLISECOND = 4096
"""The 12 bits after the milliseconds tell their fraction (method 3 of section 6.2)."""


def message_ids(count: int) -> list[MessageId]:
    """New ids, each above the one before; above those of an earlier call once `count` ticks (244 ns each) have passed since."""
    first = time.time_ns() * _TICKS_PER_MILLISECOND // 1_000_000
    noise = os.urandom(8 * count).hex()
    return [_spelled(first + n, noise[16 * n : 16 * n + 16]) for n in range(count)]


def _spelled(ticks: int, noise: str) -> MessageId:
    digits = f"{ticks >> 12:012x}"
    variant = "89ab"[int(noise[0], 16) & 3]
    return MessageId(f"{digits[:8]}-{digits[8:]}-7{ticks & 0xFFF:03x}-{variant}{noise[1:4]}-{noise[4:]}")
