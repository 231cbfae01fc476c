"""A process's own identity towards other services: its name, its key, and the tokens that it signs. Judging them is `callers`'.

python -m chassis.identity key PATH                      make a private key, and say its public half for HUBBUB_CALLERS
python -m chassis.identity public PATH                   say it again
python -m chassis.identity token PATH NAME AUDIENCE      a token for five minutes, to try calls with
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
"""The name of Hubbub's own gateways."""
TOKEN_SECONDS = 300.0
RENEWAL_SECONDS = 60.0
"""Before its end a token is replaced: also a service whose clock is this much ahead knows it."""


class Identity:
    """A name and its key."""

    def __init__(self, name: str, key: OKPKey, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self._key = key
        self._clock = clock
        self._made: dict[str, tuple[float, tuple[str, str]]] = {}
        """By audience: when to replace it, and what calls carry."""

    def credential(self, audience: str) -> tuple[str, str]:
        """The metadata that a call to `audience` carries; the same until shortly before the token in it ends."""
        now = self._clock()
        renewal, made = self._made.get(audience, (float("-inf"), ("", "")))
        if now >= renewal:
            made = ("authorization", f"Bearer {self._token(audience, now)}")
            self._made[audience] = (now + TOKEN_SECONDS - RENEWAL_SECONDS, made)
        return made

    def _token(self, audience: str, now: float) -> str:
        claims = {"iss": self.name, "aud": audience, "iat": int(now), "exp": int(now + TOKEN_SECONDS)}
        return jwt.sign(claims, self._key, self._key.thumbprint())


def private_key(pem: str) -> OKPKey:
    """An Ed25519 private key (PEM). Raises `ValueError`."""
    try:
        key = OKPKey.import_key(pem)
    except (JoseError, ValueError, TypeError):
        key = None
    if key is None or key.curve_name != "Ed25519" or not key.is_private:
        msg = "must be an Ed25519 private key (PEM)"
        raise ValueError(msg)
    return key


def public_jwk(key: OKPKey) -> dict[str, object]:
    """The public half, as HUBBUB_CALLERS has it."""
    return {**key.as_dict(private=False), "kid": key.thumbprint()}


def make_key(path: Path) -> OKPKey:
    """Make a key that only its owner can read. Raises `FileExistsError` rather than replace one."""
    key = OKPKey.generate_key("Ed25519")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.as_pem(private=True))
    return key


def main(arguments: list[str]) -> int:
    """Do what the command line says: 0, or 1 with a reason, or 2 with the usage."""
    try:
        match arguments:
            case ["key", path]:
                said = json.dumps(public_jwk(make_key(Path(path))))
            case ["public", path]:
                said = json.dumps(public_jwk(private_key(Path(path).read_text())))
            case ["token", path, name, audience]:
                said = Identity(name, private_key(Path(path).read_text())).credential(audience)[1].removeprefix("Bearer ")
            case _:
                sys.stderr.write("usage: python -m chassis.identity key PATH | public PATH | token PATH NAME AUDIENCE\n")
                return 2
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{arguments[1]}: {error}\n")
        return 1
    sys.stdout.write(f"{said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
