"""Decides who exists in a volume store: tenants, users, channels, and the members and number of messages of each channel."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from itertools import accumulate

from bench.volume.shape import Shape
from bench.volume.words import LANGUAGES, SHARES

_KINDS = {"direct": 30, "group": 42, "public": 23, "broadcast": 3, "qa": 2}
_CROWD = 1
"""Number of the channel with the most members."""
EPOCH = 1_704_067_200
"""When the first entry was made: 2024-01-01, in Unix seconds."""
SECONDS = 2 * 365 * 86_400
"""From the first entry to the last."""


@dataclass(slots=True)
class Tenant:
    """A tenant, whose users are `u0`, `u1` and so on."""

    name: str
    users: int
    pairs: set[tuple[int, int]] = field(default_factory=set)
    """Users with a direct channel."""


@dataclass(slots=True)
class Channel:
    """A channel."""

    number: int
    id: str
    tenant: str
    kind: str
    history: str
    members: list[int]
    """Numbers of users; the first is the owner."""
    posts: int
    language: int

    @property
    def direct_key(self) -> str | None:
        """As `messages.store.channels.direct_key`."""
        if self.kind != "direct":
            return None
        return json.dumps(sorted(f"u{each}" for each in self.members), separators=(",", ":"))


@dataclass(slots=True)
class Plan:
    """The largest tenant comes first. Its first channel is the largest, its second the most crowded; `u0` is the busiest user."""

    tenants: list[Tenant]
    channels: list[Channel]


def plan(shape: Shape) -> Plan:
    """Make the plan of a store."""
    dice = random.Random(f"plan {shape.seed}")
    homes = _shares(shape.channels, shape.tenants, 1.2, least_first=round(shape.busiest * 1.1))
    people = _shares(shape.users, shape.tenants, 1.0, least=4, least_first=max(round(shape.crowd * 1.1), shape.busiest))
    tenants = [Tenant(f"tenant-{number}", count) for number, count in enumerate(people)]
    posts = [shape.largest, *_shares(shape.messages - shape.largest, shape.channels - 1, 0.8)]
    later = posts[1:]
    dice.shuffle(later)
    channels: list[Channel] = []
    for number, (tenant, home) in enumerate((tenant, home) for tenant, count in enumerate(homes) for home in range(count)):
        size = shape.largest if number == 0 else later[number - 1]
        members = shape.crowd if number == _CROWD else _size(dice)
        channels.append(_channel(dice, number, tenants[tenant], size, members, busiest=tenant == 0 and home < shape.busiest))
    return Plan(tenants, channels)


def stamp(share: float) -> float:
    """When, in Unix seconds, this share of the store was written."""
    return EPOCH + share * SECONDS


def uuid7(dice: random.Random, seconds: float) -> str:
    """An id whose first bits are a time."""
    milliseconds, bits = int(seconds * 1000), dice.getrandbits(74)
    return (
        f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7{bits >> 62:03x}-"
        f"{bits >> 48 & 0x3FFF | 0x8000:04x}-{bits & 0xFFFFFFFFFFFF:012x}"
    )


def _channel(dice: random.Random, number: int, tenant: Tenant, posts: int, size: int, *, busiest: bool) -> Channel:
    kind = "group" if number <= _CROWD else dice.choices(list(_KINDS), list(_KINDS.values()))[0]
    members = _pair(dice, tenant, busiest=busiest) if kind == "direct" else []
    if not members:
        kind = "group" if kind == "direct" else kind
        members = dice.sample(range(1, tenant.users), min(size, tenant.users - 1))
        if busiest:
            members[dice.randrange(len(members))] = 0
    history = "joined" if kind in ("group", "public") and number > _CROWD and not dice.randrange(5) else "all"
    language = dice.choices(range(len(LANGUAGES)), SHARES)[0]
    return Channel(number, uuid7(dice, EPOCH - 1 + number / 1e6), tenant.name, kind, history, members, posts, language)


def _pair(dice: random.Random, tenant: Tenant, *, busiest: bool) -> list[int]:
    """Two users without a direct channel; empty when none was found."""
    for _ in range(5):
        first, second = 0 if busiest else dice.randrange(1, tenant.users), dice.randrange(1, tenant.users)
        pair = (min(first, second), max(first, second))
        if first != second and pair not in tenant.pairs:
            tenant.pairs.add(pair)
            return list(pair)
    return []


def _size(dice: random.Random) -> int:
    """How many members a channel has: mostly a few, in one of a hundred some hundreds."""
    return int(2 + 4 / (1 - dice.random() * 0.999) ** 0.7)


def _shares(total: int, parts: int, exponent: float, *, least: int = 1, least_first: int = 1) -> list[int]:
    """Whole shares by Zipf's law, descending; each is at least `least`, the first also at least `least_first`."""
    weights = [1 / (rank + 1) ** exponent for rank in range(parts)]
    rest = total - parts * least
    first = min(rest, max(least_first - least, int(rest * weights[0] / sum(weights))))
    bounds = [round((rest - first) * each / sum(weights[1:])) for each in accumulate(weights[1:])]
    return [least + first, *(least + high - low for low, high in zip([0, *bounds], bounds, strict=False))]
