"""What gateways tell each other about who has spent what, as bytes. What is made of it is `allowance`'s."""

from __future__ import annotations

import msgspec


class Spent(msgspec.Struct, frozen=True, array_like=True):
    """What a gateway tells the others: how much of each kind has been spent there just now, by key."""

    gateway: str
    kinds: dict[str, list[tuple[tuple[str, ...], float]]]


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Spent).decode
