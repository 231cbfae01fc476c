"""Entries of the bus: `messages.worker.decode` with the output of a broken or hostile publisher.

An entry is poison or a batch. Each command of a batch is either decoded and can be stored, or refused with an expected error.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from google.protobuf.message import DecodeError

from bus.bus import Delivery, Entry
from hubbub.events.v1.events_pb2 import (
    Attachment,
    Command,
    CommandBatch,
    DeleteMessage,
    EditMessage,
    MarkRead,
    PinMessage,
    PostMessage,
    ReactToMessage,
)
from messages import worker

_ID = "01900000-0000-7000-8000-000000000000"
_FROM = Command(tenant="t", channel=_ID, actor="ann", key="k", id="1", gateway="g")
_FILE = Attachment(id=_ID, name="a.png", size=1, type="image/png", width=1, height=1)
_BODIES = [
    Command(post=PostMessage(text="hello", thread=_ID, attachments=[_FILE], mentions=["bob"])),
    Command(edit=EditMessage(message=_ID, text="hello")),
    Command(delete=DeleteMessage(message=_ID)),
    Command(react=ReactToMessage(message=_ID, emoji="+", remove=True)),
    Command(pin=PinMessage(message=_ID)),
    Command(read=MarkRead(seq=1)),
    Command(post=PostMessage(text="a\x00b")),
    Command(),
]
_COMMANDS = [Command.FromString(_FROM.SerializeToString() + body.SerializeToString()) for body in _BODIES]
SEEDS = [CommandBatch(commands=each).SerializeToString() for each in (_COMMANDS, *([command] for command in _COMMANDS))]


def check(data: bytes) -> None:
    """Raise if a command is lost, or cannot be stored."""
    decoded = worker.decode(Delivery("commands.0", [Entry("1-0", data)]))
    try:
        batch = CommandBatch.FromString(data)
    except DecodeError:
        assert decoded.poison == [data], "an entry that is no batch must be set aside"
        assert not decoded.commands
        return
    assert not decoded.poison, "a batch must not be set aside"
    assert len(decoded.commands) + len(decoded.refused) == len(batch.commands), "no command may be lost"
    assert all(outcome.error is not None for outcome in decoded.refused)
    for command in decoded.commands:
        stored = (command.tenant, command.channel, command.actor, command.body)
        assert not any("\x00" in text for part in stored for text in _texts(part)), "PostgreSQL cannot store NUL"


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_dataclass(value):
        for each in fields(value):
            yield from _texts(getattr(value, each.name))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
