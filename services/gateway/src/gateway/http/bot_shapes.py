"""The answers about bots, their tokens and incoming webhooks, as docs/protocol.md defines them, and how they are made."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from chassis.bots import BotScope
from chassis.proto_enums import to_word
from gateway.http.shapes import NumericDate, Uuid
from gateway.protocol.outgoing import moment
from hubbub.messages.v1 import messages_pb2 as nouns

ScopeName = Annotated[str, Meta(extra_json_schema={"enum": tuple(BotScope)})]


class Bot(msgspec.Struct):
    """A user that is a program."""

    user: str
    """It begins with `bot:`."""
    name: str
    disabled: bool
    channel: Uuid | None
    """The channel of an incoming webhook; null for a bot that has tokens."""
    creator: str
    created_at: NumericDate


class BotToken(msgspec.Struct):
    """A token of a bot, without its secret."""

    id: Uuid
    name: str
    scopes: list[ScopeName]
    creator: str
    created_at: NumericDate
    expires_at: NumericDate | None
    """Null if it does not end."""
    used_on: str | None
    """The day of its last use in UTC, as in 2026-11-29."""


class CreatedBotToken(BotToken):
    """A new token. `token` is shown here only."""

    token: str


class Hook(msgspec.Struct):
    """An incoming webhook."""

    id: str
    """User id of its bot."""
    name: str
    disabled: bool
    creator: str
    created_at: NumericDate
    used_on: str | None
    """The day of the last post by its present address in UTC, as in 2026-11-29."""


class CreatedHook(Hook):
    """An incoming webhook with the path of its address, which is shown here only."""

    path: str


def bot(found: nouns.Bot) -> Bot:
    """A bot."""
    return Bot(found.id, found.name, found.disabled, found.channel or None, found.creator, moment(found.created_at))


def bot_token(found: nouns.BotToken) -> BotToken:
    """A token without its secret."""
    return BotToken(**_bot_token(found))


def new_bot_token(found: nouns.BotToken, secret: str) -> CreatedBotToken:
    """A token with its secret."""
    return CreatedBotToken(**_bot_token(found), token=secret)


def _bot_token(found: nouns.BotToken) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "scopes": [to_word(nouns.BotScope, each) for each in found.scopes],
        "creator": found.creator,
        "created_at": moment(found.created_at),
        "expires_at": moment(found.expires_at) if found.HasField("expires_at") else None,
        "used_on": found.used_on or None,
    }


def hook(found: nouns.Hook) -> Hook:
    """An incoming webhook without its address."""
    return Hook(**_hook(found))


def new_hook(found: nouns.Hook, path: str) -> CreatedHook:
    """An incoming webhook with its address."""
    return CreatedHook(**_hook(found), path=path)


def _hook(found: nouns.Hook) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "disabled": found.disabled,
        "creator": found.creator,
        "created_at": moment(found.created_at),
        "used_on": found.used_on or None,
    }
