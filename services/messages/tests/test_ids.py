"""The ids of messages."""

from __future__ import annotations

import time
import uuid

from messages import validate
from messages.ids import message_ids


def test_ids_are_uuids_of_version_7_in_our_spelling() -> None:
    (made,) = message_ids(1)
    read = uuid.UUID(made)
    assert (validate.message_id(made), read.version, read.variant) == (str(read), 7, uuid.RFC_4122)
    assert abs((read.int >> 80) - time.time() * 1000) < 60_000


def test_ids_are_in_order_and_none_comes_twice() -> None:
    ids = message_ids(10_000)  # more than a millisecond has room for
    assert ids == sorted(set(ids))
