"""The greedy user of `bench.neighbour` leaves nothing out."""

from collections import Counter
from itertools import islice
from typing import get_args

from bench.greedy import Greedy, operations
from gateway.protocol.incoming import Frame


def test_a_greedy_user_calls_every_operation_that_a_user_may_call() -> None:
    found = operations()  # raises for an operation whose body is not defined
    assert {"POST /v1/channels/{channel}/messages", "GET /v1/search", "POST /v1/tickets"} <= set(found)
    assert not [each for each in found if "/admin/" in each or "signout" in each]


def test_a_greedy_user_sends_every_type_of_frame() -> None:
    user = Greedy([], "token", Counter())
    user.names |= {"channel": "c", "message": "m"}
    kinds = get_args(Frame)
    sent = {frame["type"] for frame in islice(user.every_frame(), len(kinds))}
    assert sent == {kind.__struct_config__.tag for kind in kinds}
