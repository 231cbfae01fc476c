from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from chassis.errors import InvalidArgument
from chassis.proto_enums import from_word, requested_word, to_word
from hubbub.events.v1.events_pb2 import Role
from hubbub.media.v1.media_pb2 import LinkVariant, UploadState
from hubbub.messages.v1.messages_pb2 import ChannelKind, History, ReportResolution
from hubbub.presence.v1.presence_pb2 import Status

ENUMS: Sequence[Any] = (Role, LinkVariant, UploadState, ChannelKind, History, ReportResolution, Status)
UNKNOWN: Any = 4711


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.DESCRIPTOR.name)
def test_every_number_becomes_a_word_and_that_word_the_number(enum: Any) -> None:
    words = [to_word(enum, number) for number in enum.values()]
    assert [from_word(enum, word) for word in words] == enum.values()
    assert words[0] == ""
    assert len(set(words)) == len(words)


def test_a_word_is_the_name_in_lower_case_without_the_prefix() -> None:
    assert [to_word(Role, number) for number in Role.values()] == ["", "owner", "moderator", "member", "reader"]
    assert from_word(ChannelKind, "qa") == ChannelKind.CHANNEL_KIND_QA


def test_a_number_of_a_later_version_becomes_the_empty_word() -> None:
    assert to_word(Role, UNKNOWN) == ""


@pytest.mark.parametrize("number", [UNKNOWN, -1, 0])
def test_a_request_must_carry_a_known_number(number: Any) -> None:
    assert requested_word(ReportResolution, ReportResolution.REPORT_RESOLUTION_ACTED, "resolution") == "acted"
    with pytest.raises(InvalidArgument, match="resolution must be one of REPORT_RESOLUTION_DISMISSED, REPORT_RESOLUTION_ACTED"):
        requested_word(ReportResolution, number, "resolution")
