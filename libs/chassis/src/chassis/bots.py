"""The form of bots' ids, tokens and webhook addresses, and the scopes of tokens (docs/adr/0059).

A bot is a user whose id begins with `bot:`. The messages service makes these ids; no other user may have one. So every place that
shows an id shows whether it is a bot's.
A token or an address names its tenant, because a row can be found only by a statement that names its tenant. Only its digest is
stored and sent between services. The secret has 256 random bits, so the digest needs no salt.
"""

from __future__ import annotations

import re
import secrets
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple

from chassis.ids import TENANT

ID_PREFIX: Final = "bot:"
TOKEN_PREFIX: Final = "hubbot_"  # noqa: S105 - no password
"""By which secret scanners recognize a token."""
_NAME = "[0-9a-f]{24}"
_RANDOM = "[A-Za-z0-9_-]{43}"
_TOKEN: Final = re.compile(rf"{TOKEN_PREFIX}({TENANT})\.{_RANDOM}")
_HOOK: Final = re.compile(rf"({TENANT})\.{_NAME}")
_HOOK_SECRET: Final = re.compile(_RANDOM)


class BotScope(StrEnum):
    """What a token may be allowed to do. What the bot's roles in its channels do not permit stays refused."""

    READ = "read"
    """Read channels, members, users, history and media, and open a socket."""
    WRITE = "write"
    """Post, edit and delete messages."""
    REACT = "react"
    """React to messages."""
    UPLOAD = "upload"
    """Upload files."""
    MANAGE = "manage"
    """Create, change, join and leave channels, add and remove members, and pin."""
    MODERATE = "moderate"
    """Ban, silence, and handle reports."""


class Credential(NamedTuple):
    """What proves that a caller is a bot: the tenant, and the digest of the whole token or address."""

    tenant: str
    digest: bytes


def is_bot(user: str) -> bool:
    """Whether the id is a bot's."""
    return user.startswith(ID_PREFIX)


def new_id() -> str:
    """Return an id for a new bot."""
    return ID_PREFIX + secrets.token_hex(12)


def new_token(tenant: str) -> str:
    """Return a new token."""
    return f"{TOKEN_PREFIX}{tenant}.{secrets.token_urlsafe(32)}"


def new_hook_secret() -> str:
    """Return a new secret of a webhook's address."""
    return secrets.token_urlsafe(32)


def hook_of(tenant: str, bot: str) -> str:
    """Return the id of a webhook in its address, from the id of its bot."""
    return f"{tenant}.{bot.removeprefix(ID_PREFIX)}"


def hook_path(hook: str, secret: str) -> str:
    """Return the path of a webhook's address."""
    return f"/v1/hooks/{hook}/{secret}"


def digest_of_token(token: str) -> bytes:
    """Return what is stored of a token."""
    return sha256(token.encode()).digest()


def digest_of_hook(hook: str, secret: str) -> bytes:
    """Return what is stored of a webhook's address."""
    return sha256(f"{hook}/{secret}".encode()).digest()


def token_credential(token: str) -> Credential | None:
    """Return the credential of a token; None if it has another form."""
    found = _TOKEN.fullmatch(token)
    return Credential(found[1], digest_of_token(token)) if found else None


def hook_credential(hook: str, secret: str) -> Credential | None:
    """Return the credential of a webhook's address; None if it has another form."""
    found = _HOOK.fullmatch(hook)
    if found is None or not _HOOK_SECRET.fullmatch(secret):
        return None
    return Credential(found[1], digest_of_hook(hook, secret))
