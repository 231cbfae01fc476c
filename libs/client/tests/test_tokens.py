"""When a token is renewed, and what a failing function means."""

import asyncio
import base64
import json
import time
import uuid

import pytest

from hubbub_client import Ended, NoAnswer, new_key
from hubbub_client.backoff import Backoff
from hubbub_client.tokens import Tokens, renewal_seconds


def token(**claims: float) -> str:
    return "." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + "."


@pytest.mark.parametrize(("life", "earliest", "latest"), [(60, 35, 48), (86_400, 85_799, 86_100)])
def test_a_token_is_renewed_before_its_end(life: float, earliest: float, latest: float) -> None:
    now = time.time()
    due = [renewal_seconds(token(iat=now, exp=now + life)) for _ in range(50)]
    assert all(one is not None and earliest <= one <= latest for one in due), due
    assert len(set(due)) > 1, "there is no jitter"


def test_a_wrong_clock_causes_no_loop_of_renewals() -> None:
    past = time.time() - 1_000_000
    assert renewal_seconds(token(iat=past, exp=past + 60)) == 12


@pytest.mark.parametrize("text", ["", "a.b.c", "opaque", token(), token(iat=5, exp=5), ".W10."])
def test_a_token_that_does_not_say_when_it_ends_is_not_renewed(text: str) -> None:
    assert renewal_seconds(text) is None


async def test_concurrent_callers_share_one_call_and_a_refused_token_is_asked_for_once() -> None:
    made: list[str] = []

    async def source() -> str:
        await asyncio.sleep(0)
        made.append(f"t{len(made)}")
        return made[-1]

    tokens = Tokens(source, 5)
    assert await asyncio.gather(*(tokens.current() for _ in range(3))) == ["t0"] * 3
    assert await asyncio.gather(*(tokens.after("t0") for _ in range(3))) == ["t1"] * 3
    assert await tokens.after("t0") == "t1"
    assert made == ["t0", "t1"]


@pytest.mark.parametrize(("error", "raised"), [(OSError, NoAnswer), (TimeoutError, NoAnswer), (KeyError, Ended)])
async def test_a_failing_function_means_later_or_the_end(error: type[Exception], raised: type[Exception]) -> None:
    def source() -> str:
        raise error

    with pytest.raises(raised) as caught:
        await Tokens(source, 5).fresh()
    assert isinstance(caught.value.__cause__, error)


async def test_a_function_that_hangs_is_given_up() -> None:
    with pytest.raises(NoAnswer):
        await Tokens(asyncio.Event().wait, 0.01).fresh()  # type: ignore[arg-type]


def test_keys_are_uuids_of_version_7() -> None:
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert {uuid.UUID(key).version for key in keys} == {7}
    assert {uuid.UUID(key).variant for key in keys} == {uuid.RFC_4122}


def test_delays_are_random_below_a_bound_that_doubles() -> None:
    delays = []
    for _ in range(200):
        backoff = Backoff(1.0, 4.0)
        delays.append([backoff.next() for _ in range(5)])
    highest = [max(each) for each in zip(*delays, strict=True)]
    assert all(0.5 * bound < each <= bound for each, bound in zip(highest, [1, 2, 4, 4, 4], strict=True)), highest
    assert min(map(min, delays)) < 0.1
