"""Finds the tenants that a request names, whatever its shape: every text field called `tenant`, at any depth."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

_FIELD = "tenant"
_Way = tuple[str, ...]


@cache
def ways(shape: Descriptor) -> tuple[_Way, ...]:
    """The names of the fields that lead to each tenant in messages of this shape. No shape of ours holds itself."""
    return tuple(_ways(shape))


def tenants(request: Message) -> Iterator[str]:
    """Every tenant that a request names, as often as it does; empty where a single field was left out."""
    for way in ways(request.DESCRIPTOR):
        yield from _values(request, way)


def _ways(shape: Descriptor) -> Iterator[_Way]:
    fields: list[FieldDescriptor] = list(shape.fields)
    for field in fields:
        if field.message_type is not None:
            yield from ((field.name, *way) for way in ways(field.message_type))
        elif field.name == _FIELD:
            yield (field.name,)


def _values(message: Any, way: _Way) -> Iterator[str]:
    name, *rest = way
    value = getattr(message, name)
    if not rest:
        yield value
    elif isinstance(value, Message):
        yield from _values(value, tuple(rest))
    else:
        for each in value:
            yield from _values(each, tuple(rest))
