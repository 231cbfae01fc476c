"""Converts bots, their tokens and incoming webhooks between domain values and protobuf."""

from __future__ import annotations

from collections.abc import Iterable

from chassis.bots import BotScope
from chassis.errors import InvalidArgument
from chassis.proto_enums import from_word, requested_word
from hubbub.messages.v1 import messages_pb2 as nouns
from messages import convert
from messages.store.bots import Bot, Hook, Token


def bot_scopes(values: Iterable[nouns.BotScope.ValueType]) -> list[BotScope]:
    """Read the scopes of a new token, in a fixed order; raises `InvalidArgument`."""
    wanted = {requested_word(nouns.BotScope, each, "scopes") for each in values}
    if not wanted:
        raise InvalidArgument("A token needs at least one scope")
    return [scope for scope in BotScope if scope in wanted]


def bot(value: Bot) -> nouns.Bot:
    """A bot as protobuf."""
    return nouns.Bot(
        id=value.id,
        name=value.name,
        disabled=value.disabled,
        channel=value.channel or "",
        creator=value.creator,
        created_at=convert.timestamp(value.created_at),
    )


def bot_token(value: Token) -> nouns.BotToken:
    """A token as protobuf."""
    return nouns.BotToken(
        id=value.id,
        name=value.name,
        scopes=[from_word(nouns.BotScope, each) for each in value.scopes],
        creator=value.creator,
        created_at=convert.timestamp(value.created_at),
        expires_at=convert.timestamp(value.expires_at) if value.expires_at else None,
        used_on=value.used_on or "",
    )


def hook(value: Hook) -> nouns.Hook:
    """An incoming webhook as protobuf."""
    return nouns.Hook(
        id=value.id,
        name=value.name,
        disabled=value.disabled,
        creator=value.creator,
        created_at=convert.timestamp(value.created_at),
        used_on=value.used_on or "",
    )
