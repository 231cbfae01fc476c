"""Finds the tenants in a request: every string field named `tenant`, at any depth."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

_FIELD = "tenant"
_Path = tuple[str, ...]


@cache
def tenant_paths(message: Descriptor) -> tuple[_Path, ...]:
    """Return the field paths that lead to tenants in this message type. No message type here is recursive."""
    return tuple(_find_paths(message))


def tenants(request: Message) -> Iterator[str]:
    """Yield the tenant of every occurrence in a request, duplicates included; empty text for an unset field."""
    for path in tenant_paths(request.DESCRIPTOR):
        yield from _values(request, path)


def _find_paths(message: Descriptor) -> Iterator[_Path]:
    fields: list[FieldDescriptor] = list(message.fields)
    for field in fields:
        if field.message_type is not None:
            yield from ((field.name, *path) for path in tenant_paths(field.message_type))
        elif field.name == _FIELD:
            yield (field.name,)


def _values(message: Any, path: _Path) -> Iterator[str]:
    name, *rest = path
    value = getattr(message, name)
    if not rest:
        yield value
    elif isinstance(value, Message):
        yield from _values(value, tuple(rest))
    else:
        for each in value:
            yield from _values(each, tuple(rest))
