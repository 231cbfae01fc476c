"""Message ids."""

from __future__ import annotations

import time
import uuid

from messages import validate
from messages.ids import message_ids


def test_ids_are_lower_case_uuids_of_version_7() -> None:
    (made,) = message_ids(1)
    read = uuid.UUID(made)
    assert (validate.message_id(made), read.version, read.variant) == (str(read), 7, uuid.RFC_4122)
    assert abs((read.int >> 80) - time.time() * 1000) < 60_000


def test_ids_are_ascending_and_unique() -> None:
    ids = message_ids(10_000)  # more than fit into one millisecond
    assert ids == sorted(set(ids))
