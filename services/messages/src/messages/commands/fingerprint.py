"""The hashes that the table `keys` holds in place of a command's actor, key and content."""

from __future__ import annotations

import hashlib
import re

from messages.message import UserId

_UUID7 = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def fingerprint(actor: UserId, key: str) -> str:
    """A hash of the actor and the key, as the 32 hexadecimal digits of a UUID.

    A key that is a UUID of version 7 keeps its first 48 bits, which are a time. So the keys of a channel ascend, and storing a
    post changes a page of the index that the post before it has changed.
    """
    hashed = hashlib.blake2b(f"{actor}\0{key}".encode(), digest_size=16).hexdigest()
    if time := _UUID7.fullmatch(key):
        return time[1] + time[2] + hashed[12:]
    return hashed


def digest(content: bytes) -> int:
    """A hash of what a key was used for, which distinguishes a repeated key from a reused one. Signed, of 64 bits."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), signed=True)
