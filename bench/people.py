"""The users of a scenario, their tokens and their rooms. `systems` creates them in each system."""

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
    """Signs tokens (ES256) for all systems, with a key of this run."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.jwks_file = folder / "jwks.json"
        """The public key, as read by gateways."""
        self.jwks_file.write_text(json.dumps({"keys": [self._public()]}))

    def token(self, user: str) -> str:
        """Return a token for `user`, valid for a day."""
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
    """Users and their rooms. Each layer assigns every user to one room of its size, so a user has one room per layer."""

    name: str
    """Unique within a run."""
    users: int
    layers: tuple[int, ...]
    """The size of the rooms of each layer."""

    @cached_property
    def rooms(self) -> list[list[list[int]]]:
        """User numbers by layer and room. Shuffled with a fixed seed, so that rooms of different layers overlap little."""
        generator = random.Random(self.name)
        layers = []
        for size in self.layers:
            order = list(range(self.users))
            generator.shuffle(order)
            layers.append([order[first : first + size] for first in range(0, self.users, size)])
        return layers

    def user(self, number: int) -> str:
        """Return a user's id."""
        return f"{self.name}-{number:06d}"

    def write_plan(self, path: Path, tokens: Sequence[str], ids: Sequence[Sequence[str]], send_in: Iterable[int]) -> Path:
        """Write the load generator's plan: users send in their rooms of the layers `send_in`. `ids` by layer and room."""
        rooms_of: list[list[str]] = [[] for _ in range(self.users)]
        for layer in send_in:
            for room, members in zip(ids[layer], self.rooms[layer], strict=True):
                for member in members:
                    rooms_of[member].append(room)
        path.write_text("".join(f"{token} {' '.join(rooms)}\n" for token, rooms in zip(tokens, rooms_of, strict=True)))
        return path


def _part(value: object) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
