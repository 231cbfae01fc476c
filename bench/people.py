"""The users of a scenario, with tokens and rooms. `systems` creates them in each system."""

import base64
import json
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

TENANT = "bench"
ISSUER = "hubbub-bench"
AUDIENCE = "hubbub"

_KID = "bench-1"
_TOKEN_SECONDS = 24 * 3600
_COORDINATE_BYTES = 32


class Issuer:
    """Signs tokens (ES256), the same for every system, with a key of this run only."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.jwks_file = folder / "jwks.json"
        """The public key, as gateways read it."""
        self.jwks_file.write_text(json.dumps({"keys": [self._public()]}))

    def token(self, user: str) -> str:
        """Return a token for `user`, good for a day."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + _TOKEN_SECONDS, "sub": user, "tenant": TENANT}
        signed = f"{_part({'alg': 'ES256', 'typ': 'JWT', 'kid': _KID})}.{_part(claims)}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_text(r.to_bytes(_COORDINATE_BYTES) + s.to_bytes(_COORDINATE_BYTES))}"

    def _public(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        x, y = (_text(number.to_bytes(_COORDINATE_BYTES)) for number in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": _KID, "x": x, "y": y}


@dataclass(frozen=True)
class People:
    """Users in layers of rooms: each layer puts every user into one room of its size, so a user has a room per layer."""

    name: str
    """Distinguishes these users from others in the same run."""
    users: int
    layers: tuple[int, ...]
    """The size of the rooms of each layer."""

    @cached_property
    def rooms(self) -> list[list[list[int]]]:
        """Members by layer and room: users' numbers. Shuffled, the same in every run, so that rooms of layers overlap little."""
        chance = random.Random(self.name)
        layers = []
        for size in self.layers:
            order = list(range(self.users))
            chance.shuffle(order)
            layers.append([order[first : first + size] for first in range(0, self.users, size)])
        return layers

    def user(self, number: int) -> str:
        """Return a user's id."""
        return f"{self.name}-{number:06d}"

    def write_plan(self, path: Path, tokens: Sequence[str], ids: Sequence[Sequence[str]], speak_in: Iterable[int]) -> Path:
        """Write the load generator's plan: users speak in the rooms of the layers `speak_in`; `ids` by layer and room."""
        rooms_of: list[list[str]] = [[] for _ in range(self.users)]
        for layer in speak_in:
            for room, members in zip(ids[layer], self.rooms[layer], strict=True):
                for member in members:
                    rooms_of[member].append(room)
        path.write_text("".join(f"{token} {' '.join(rooms)}\n" for token, rooms in zip(tokens, rooms_of, strict=True)))
        return path


def _part(value: object) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
