"""The parameters of a volume store."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Shape:
    """How much of what. The same shape always makes the same rows."""

    seed: int = 1
    messages: int = 5_000_000
    channels: int = 20_000
    tenants: int = 300
    """Their users, channels and messages follow Zipf's law."""
    users: int = 150_000
    largest: int = 1_000_000
    """Messages in the largest channel."""
    crowd: int = 50_000
    """Members of the channel with the most members."""
    busiest: int = 5_000
    """Channels of the user with the most channels."""

    @classmethod
    def scaled(cls, messages: int, seed: int = 1) -> Shape:
        """Return a store of the default proportions with this many messages."""
        share = messages / cls().messages
        return cls(seed, *(max(2, round(getattr(cls(), each.name) * share)) for each in fields(cls)[1:]))

    def __post_init__(self) -> None:
        if not 1 < self.tenants <= min(self.channels, self.users) or self.busiest > self.channels or self.crowd > self.users:
            raise ValueError(f"Cannot be built: {self}")

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add an option for each parameter."""
        for each in fields(cls):
            parser.add_argument(f"--{each.name}", type=int, default=each.default, help=f"default {each.default:,}")

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> Shape:
        """Return the shape that the options describe."""
        return cls(**{each.name: getattr(arguments, each.name) for each in fields(cls)})
