"""The interface of message search: what an index is told, and what it is asked.

`store.search` implements it in PostgreSQL. Another index, such as OpenSearch, can take its place. An index only suggests: the
caller reads every message that was found from the log, as one who may read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chassis.postgres import Connection
from messages.message import ChannelId, MessageId, UserId

READER = "search"
"""The kind of the readers that fill indexes."""


def indexed_by(generation: int) -> str:
    """The name of the reader that fills a generation of the index."""
    return f"{READER}.{generation}"


@dataclass(frozen=True, slots=True)
class Document:
    """A message as the index is to have it, in place of what it had."""

    message: MessageId
    channel: ChannelId
    seq: int
    sender: UserId
    texts: Sequence[str]
    """The text, and the names of the attachments. Never sealed content."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What the index is told."""

    documents: Sequence[Document]
    removed: Sequence[MessageId]
    """Messages that must not be found any more."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the index is asked."""

    query: str
    """As the user typed it."""
    sender: UserId | None
    floors: Mapping[ChannelId, int]
    """The channels to search in. In each only what is numbered above this is looked for."""
    before: MessageId | None
    """Only older messages."""
    limit: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A message that was found."""

    message: MessageId
    channel: ChannelId
    seq: int


class Search(Protocol):
    """An index of messages."""

    async def apply(self, connection: Connection, changes: Changes) -> None:
        """Change the index. Applying the same changes again has no effect.

        `connection` is in the transaction that stores the reader's position, for an index in the same database.
        """
        ...

    async def find(self, connection: Connection, wanted: Wanted) -> Sequence[Hit]:
        """The newest messages that match, newest first, by their ids. Fewer than `limit` only if there are no more."""
        ...
