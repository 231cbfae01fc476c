"""Signs requests by the Standard Webhooks specification (standardwebhooks.com): HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

PREFIX = "whsec_"
_SECRET_BYTES = 32
"""The specification allows 24 to 64."""


class UnreadableSecretError(Exception):
    """No key of the deployment decrypts the secret."""


class Vault:
    """Encrypts the secrets of webhooks with the deployment's keys."""

    def __init__(self, keys: Sequence[str]) -> None:
        """The first key encrypts, and all decrypt. Raises `ValueError` for a key that is not 32 bytes in URL-safe base64."""
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def seal(self, secret: bytes) -> bytes:
        """Encrypt a secret."""
        return self._fernet.encrypt(secret)

    def open(self, sealed: bytes) -> bytes:
        """Decrypt a secret. Raises `UnreadableSecretError`."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken as error:
            raise UnreadableSecretError from error


def new_secret() -> bytes:
    """A secret from the system's random source."""
    return secrets.token_bytes(_SECRET_BYTES)


def shown(secret: bytes) -> str:
    """The secret as receivers configure it."""
    return PREFIX + base64.b64encode(secret).decode()


def headers(delivery: str, timestamp: int, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """The headers of one attempt, with a signature by each secret."""
    signed = b".".join((delivery.encode(), str(timestamp).encode(), body))
    signatures = [base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode() for secret in secrets]
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
