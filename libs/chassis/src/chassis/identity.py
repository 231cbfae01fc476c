"""A process's identity towards other services: its name, its private key and the tokens it signs. `callers` verifies them.

python -m chassis.identity key PATH                      create a private key; print its public JWK for HUBBUB_CALLERS
python -m chassis.identity public PATH                   print the public JWK again
python -m chassis.identity token PATH NAME AUDIENCE      print a token that is valid for five minutes, for manual calls
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from chassis import jwt

GATEWAY = "gateway"
"""The caller name of Hubbub's own gateways."""
MESSAGES = "messages"
"""The caller name of Hubbub's messages service, which asks media about attachments."""
INTEGRATIONS = "integrations"
"""The caller name of Hubbub's integrations service, which follows the feed."""
TOKEN_SECONDS = 300.0
RENEWAL_SECONDS = 60.0
"""A token is replaced this long before it expires, so services whose clocks are ahead still accept it."""


class Identity:
    """A caller's name and private key."""

    def __init__(self, name: str, key: OKPKey, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self._key = key
        self._clock = clock
        self._cache: dict[str, tuple[float, tuple[str, str]]] = {}
        """By audience: the renewal time and the metadata."""

    def credential(self, audience: str) -> tuple[str, str]:
        """Return the metadata for calls to `audience`. It is reused until shortly before its token expires."""
        now = self._clock()
        renewal, header = self._cache.get(audience, (float("-inf"), ("", "")))
        if now >= renewal:
            header = ("authorization", f"Bearer {self._token(audience, now)}")
            self._cache[audience] = (now + TOKEN_SECONDS - RENEWAL_SECONDS, header)
        return header

    def _token(self, audience: str, now: float) -> str:
        claims = {"iss": self.name, "aud": audience, "iat": int(now), "exp": int(now + TOKEN_SECONDS)}
        return jwt.sign(claims, self._key, self._key.thumbprint())


def private_key(pem: str) -> OKPKey:
    """Parse an Ed25519 private key (PEM). Raises `ValueError`."""
    try:
        key = OKPKey.import_key(pem)
    except (JoseError, ValueError, TypeError):
        key = None
    if key is None or key.curve_name != "Ed25519" or not key.is_private:
        msg = "must be an Ed25519 private key (PEM)"
        raise ValueError(msg)
    return key


def public_jwk(key: OKPKey) -> dict[str, object]:
    """Return the public JWK for HUBBUB_CALLERS."""
    return {**key.as_dict(private=False), "kid": key.thumbprint()}


def make_key(path: Path) -> OKPKey:
    """Create a key file that only its owner can read. Raises `FileExistsError` instead of replacing one."""
    key = OKPKey.generate_key("Ed25519")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.as_pem(private=True))
    return key


def main(arguments: list[str]) -> int:
    """Run a command. Return 0, 1 with an error message, or 2 with the usage."""
    try:
        match arguments:
            case ["key", path]:
                output = json.dumps(public_jwk(make_key(Path(path))))
            case ["public", path]:
                output = json.dumps(public_jwk(private_key(Path(path).read_text())))
            case ["token", path, name, audience]:
                output = Identity(name, private_key(Path(path).read_text())).credential(audience)[1].removeprefix("Bearer ")
            case _:
                sys.stderr.write("usage: python -m chassis.identity key PATH | public PATH | token PATH NAME AUDIENCE\n")
                return 2
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{arguments[1]}: {error}\n")
        return 1
    sys.stdout.write(f"{output}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
