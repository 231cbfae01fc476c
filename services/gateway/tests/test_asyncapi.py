"""The committed AsyncAPI document is complete, equals the generated one, and claims nothing that the decoder does not hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.structs import fields

from gateway.asyncapi import document, entries
from gateway.protocol import incoming, outgoing
from gateway.protocol.close_codes import Close
from hubbub.events.v1.events_pb2 import EventKind

_DOCUMENT = json.loads(document.document())
_PREFIX = "EVENT_KIND_"


def references(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": str(target)}:
            yield target
        case dict():
            for each in value.values():
                yield from references(each)
        case list():
            for each in value:
                yield from references(each)


def test_the_committed_document_is_the_generated_one() -> None:
    stored = Path(__file__).parents[3] / "docs" / "asyncapi.json"
    assert stored.read_text() == document.document(), "run `make docs`"


def test_the_document_has_every_frame_kind_of_event_and_close_code() -> None:
    tags = {
        "client": {frame.__struct_config__.tag for frame in get_args(incoming.Frame)},
        "server": {frame.__struct_config__.tag for frame in get_args(outgoing.Frame)} - {"accepted"} | {"event", "invited"},
    }
    assert set(_DOCUMENT["components"]["messages"]) == {f"{sender}.{tag}" for sender, found in tags.items() for tag in found}
    described = [field.type for entry in get_args(entries.Entry) for field in fields(entry) if field.name == "kind"]
    stored = {name.removeprefix(_PREFIX).lower().replace("_", ".", 1) for name, number in EventKind.items() if number}
    assert {kind for each in described for kind in get_args(each)} == stored
    codes = {end["code"]: end["reconnect"] for end in _DOCUMENT["channels"]["socket"]["x-close-codes"]}
    assert codes == {close.code: close.reconnect for close in Close if close.code > Close.BY_CLIENT.code}


def test_every_reference_leads_somewhere() -> None:
    for target in references(_DOCUMENT):
        found = _DOCUMENT
        for part in target.removeprefix("#/").split("/"):
            found = found[part]


@pytest.mark.parametrize(
    ("frame", "base"),
    [
        (incoming.Send, {"type": "send", "channel": "c", "key": "k"}),
        (incoming.Edit, {"type": "edit", "channel": "c", "message": "m"}),
    ],
)
def test_of_fields_that_exclude_each_other_the_decoder_takes_exactly_one(frame: type, base: dict[str, str]) -> None:
    first, second = ({field: "aGk="} for field in document.EXCLUSIVE[frame])
    for right in (first, second):
        incoming.decode(json.dumps({**base, **right}).encode())
    for wrong in ({}, {**first, **second}):
        with pytest.raises(incoming.FrameRefused):
            incoming.decode(json.dumps({**base, **wrong}).encode())


def test_every_frame_from_clients_has_a_cost_and_every_answer_is_a_message() -> None:
    for name, operation in _DOCUMENT["operations"].items():
        assert operation["summary"]
        if name.startswith("client."):
            assert _DOCUMENT["components"]["messages"][name]["x-cost"] > 0
            assert operation["reply"]["messages"][-1]["$ref"].endswith("/server.error")
