"""The scopes that operations and frames declare: what the token of a bot must permit (docs/adr/0059).

Each declares its scope where it declares its cost. One without a scope does not start the gateway.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeAlias

from chassis.bots import BotScope


class Beyond(Enum):
    """Scopes that no token can be given."""

    ANY = "any"
    """Every token may."""
    PEOPLE = "people"
    """No token may."""
    HOOK = "hook"
    """Only the address of an incoming webhook may."""


Scope: TypeAlias = BotScope | Beyond
SOCKET: Final = BotScope.READ
"""What a token needs to open a socket, because a socket receives all that the bot may read."""
