"""The blocks of a message: a small closed set of parts that a bot's message shows in place of its text (docs/adr/0058).

The types are those of the JSON that clients send and receive, and of what is stored. `check` judges what they leave open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, assert_never

import msgspec
from google.protobuf import json_format
from msgspec import Meta

from chassis import text as text_rules
from chassis.errors import InvalidArgument
from chassis.text import UnfitTextError

BLOCKS, BUTTONS, OPTIONS = 10, 5, 25
BLOCK_BYTES = 8 * 1024
"""Of all blocks of a message, as JSON."""
TEXT_CHARACTERS, LABEL_CHARACTERS = 3_000, 80

Label = Annotated[str, Meta(min_length=1, max_length=LABEL_CHARACTERS)]
Name = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._:-]{1,64}\Z")]


class Choice(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A button, or an option of a select."""

    value: Name
    """What the bot is told."""
    text: Label


class TextBlock(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="text"):
    """Plain text."""

    text: Annotated[str, Meta(min_length=1, max_length=TEXT_CHARACTERS)]


class ImageBlock(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="image"):
    """One of the message's attachments, shown in its place."""

    upload: Name
    alt: Label
    """What the image shows, for people who do not see it."""


class ButtonsBlock(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="buttons"):
    """A row of buttons."""

    id: Name
    """Unique in the message."""
    buttons: Annotated[list[Choice], Meta(min_length=1, max_length=BUTTONS)]


class SelectBlock(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="select"):
    """A choice of one option."""

    id: Name
    """Unique in the message."""
    label: Label
    options: Annotated[list[Choice], Meta(min_length=1, max_length=OPTIONS)]


Block = TextBlock | ImageBlock | ButtonsBlock | SelectBlock
Blocks = Annotated[list[Block], Meta(max_length=BLOCKS)]


def read(given: Iterable[Any]) -> list[Block]:
    """Read blocks from protobuf (hubbub.events.v1.Block), whose fields have the same names. Raises `InvalidArgument`."""
    try:
        return msgspec.convert([_builtins(each) for each in given], Blocks)
    except msgspec.ValidationError as error:
        raise InvalidArgument(f"blocks: {error}") from None


def write(blocks: Iterable[Block], made: Any) -> None:
    """Append blocks to a repeated field of protobuf."""
    for block in blocks:
        fields = msgspec.to_builtins(block)
        json_format.ParseDict({fields.pop("type"): fields}, made.add())


def check(blocks: Sequence[Block], text: str | None, uploads: Collection[str]) -> None:
    """Raise `InvalidArgument` unless a message with this text and these uploads may have the blocks, of which there are some."""
    if not text:
        raise InvalidArgument("A message with blocks needs a text, for search and for clients that do not show blocks")
    if len(msgspec.json.encode(blocks)) > BLOCK_BYTES:
        raise InvalidArgument(f"The blocks of a message have at most {BLOCK_BYTES} bytes")
    for block in blocks:
        _check_block(block, uploads)
    names = [block.id for block in blocks if isinstance(block, ButtonsBlock | SelectBlock)]
    if len(set(names)) < len(names):
        raise InvalidArgument("The ids of a message's blocks differ")


def _check_block(block: Block, uploads: Collection[str]) -> None:
    match block:
        case TextBlock():
            if "\x00" in block.text:
                raise InvalidArgument("A text cannot contain NUL")
        case ImageBlock():
            _check_line(block.alt)
            if block.upload not in uploads:
                raise InvalidArgument("An image is one of the message's attachments")
        case ButtonsBlock():
            _check_choices(block.buttons)
        case SelectBlock():
            _check_line(block.label)
            _check_choices(block.options)
        case _:
            assert_never(block)


def _builtins(given: Any) -> dict[str, object]:
    """The fields of a block and its type, which is empty for a kind that this version does not know."""
    kind = given.WhichOneof("block") or ""
    fields = json_format.MessageToDict(getattr(given, kind), always_print_fields_with_no_presence=True) if kind else {}
    return {"type": kind, **fields}


def _check_choices(choices: Sequence[Choice]) -> None:
    if len({choice.value for choice in choices}) < len(choices):
        raise InvalidArgument("The values of a block differ")
    for choice in choices:
        _check_line(choice.text)


def _check_line(label: str) -> None:
    try:
        fit = text_rules.line(label) == label
    except UnfitTextError as error:
        raise InvalidArgument(f"A label {error}") from None
    if not fit:
        raise InvalidArgument("A label is one line, without spaces at its ends or side by side")
