"""Passwords and keys of the local stack: created at the first start, in files that only their owner can read."""

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def password(path: Path) -> str:
    """Return the password in `path`, creating one of 192 bits if there is none."""
    return _read_or_create(path, lambda: secrets.token_urlsafe(24).encode()).decode()


def signing_key(path: Path) -> Path:
    """Return `path`, creating an Ed25519 private key (PEM, PKCS #8) in it if there is none."""
    _read_or_create(path, _new_signing_key)
    return path


def fernet_key(path: Path) -> str:
    """Return the key of 256 bits, in URL-safe base64, in `path`, creating one if there is none."""
    return _read_or_create(path, lambda: base64.urlsafe_b64encode(secrets.token_bytes(32))).decode()


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, replacing `path` atomically."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _read_or_create(path: Path, create: Callable[[], bytes]) -> bytes:
    if not path.exists():
        write_private(path, create())
    return path.read_bytes()


def _new_signing_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
