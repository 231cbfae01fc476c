"""Seals what a browser keeps for us: encrypted and signed, so that any gateway can read it and nobody else can, or make one.

A seal is for one purpose and says when it ends; what is in it is its owner's. The keys come from `HUBBUB_SESSION_KEYS`: the
first seals, every one opens, so that a key can be replaced without signing anybody out.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chassis.config import Secret

COOKIE_BYTES = 3_800
"""A browser keeps 4,096, name and attributes included."""
_KEY_BYTES, _NONCE_BYTES = 32, 12
ValueT = TypeVar("ValueT")


class OversizeError(Exception):
    """A browser would not keep a cookie of this size."""


class Sealed(msgspec.Struct, Generic[ValueT], frozen=True, array_like=True):
    """What is encrypted: a value, and until when it counts (Unix seconds)."""

    value: ValueT
    until: float


class Seal(Generic[ValueT]):
    """Seals values of one type for one purpose; a seal for another purpose does not open here."""

    def __init__(self, keys: Secret, purpose: str, shape: type[ValueT], clock: Callable[[], float] = time.time) -> None:
        self._keys = [AESGCM(_derived(key, purpose)) for key in keys.split(",")]
        self._decode = msgspec.msgpack.Decoder(Sealed[shape]).decode  # type: ignore[valid-type]
        self._clock = clock

    def close(self, value: ValueT, until: float) -> str:
        """A text fit for a cookie. Raises `OversizeError`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._keys[0].encrypt(nonce, msgspec.msgpack.encode(Sealed(value, until)), None)
        text = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
        if len(text) > COOKIE_BYTES:
            raise OversizeError
        return text

    def open(self, text: str) -> ValueT | None:
        """The value; None for what is not ours, was changed, or has ended."""
        if not text.isascii() or len(text) > COOKIE_BYTES:
            return None
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        for key in self._keys:
            try:
                found: Sealed[ValueT] = self._decode(key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None))
            except (InvalidTag, ValueError, msgspec.DecodeError):
                continue
            return found.value if self._clock() < found.until else None
        return None


def _derived(key: str, purpose: str) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=f"hubbub {purpose}".encode()).derive(key.strip().encode())
