"""Passwords and keys of the local stack: made at first start, kept under the data folder, readable by its owner only.

Leaves their use to the servers and services that they belong to.
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def password(path: Path) -> str:
    """Return the password kept in `path`, making one of 192 bits at first use."""
    return _kept(path, lambda: secrets.token_urlsafe(24).encode()).decode()


def signing_key(path: Path) -> Path:
    """Make sure that `path` holds an Ed25519 private key (PEM, PKCS #8), and return it."""
    _kept(path, _new_signing_key)
    return path


def write_private(path: Path, content: bytes) -> None:
    """Replace `path` at once by a file that only its owner can read: nobody ever sees half of it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _kept(path: Path, make: Callable[[], bytes]) -> bytes:
    if not path.exists():
        write_private(path, make())
    return path.read_bytes()


def _new_signing_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
