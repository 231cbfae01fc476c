"""What is kept of a session, without a network: where its client stands for any last event that it has received."""

from __future__ import annotations

import random
from itertools import count

import pytest

from gateway.socketio import held
from gateway.socketio.held import LOST, Held, State, encode
from gateway.trail import MOST_CHUNKS, Kind, Mark, Trail


def state(trail: Trail, places: dict[str, int]) -> State:
    marks = [(mark.channel, mark.seq, int(mark.kind)) for mark in trail.marks]
    return State("t", "ann", "1", places, marks, list(trail.lasts), [], "online")


@pytest.mark.parametrize("seed", range(50))
def test_a_client_stands_where_its_last_event_says(seed: int) -> None:
    """After any history of events, gains and losses: at every point at which its last event was received."""
    chance = random.Random(seed)
    places = {name: chance.randint(1, 9) for name in "abc"}
    heads = dict.fromkeys("abcd", 10) | places
    views: list[tuple[str | None, dict[str, int]]] = [(None, dict(places))]
    trail = Trail(None)
    for _ in range(40):
        name = chance.choice("abcd")
        if name in places and chance.random() < 0.1:
            del places[name]
            trail.add((Mark(name, 0, Kind.LEFT),))
        elif name not in places:
            heads[name] = places[name] = heads[name] + chance.randint(1, 3)
            trail.add((Mark(name, places[name], Kind.JOINED),))
        else:
            heads[name] = places[name] = heads[name] + 1
            trail.add((Mark(name, places[name]),))
            views.append((trail.marks[-1].offset, dict(places)))
    kept = state(trail, places)
    for offset, view in views:
        positions = kept.positions(offset)
        assert positions is not None
        assert positions.keys() == view.keys()
        assert all(position in (view[name], LOST) for name, position in positions.items())
        lost = [name for name, position in positions.items() if position == LOST]
        assert all(name not in places or (name, 0, int(Kind.LEFT)) in kept.marks for name in lost)


def test_an_answered_ping_confirms_what_was_written_before_it() -> None:
    trail, seqs = Trail(None, "a:2"), count(3)
    for _ in range(2):
        trail.add((Mark("a", next(seqs)),))
    trail.pinged()
    trail.add((Mark("a", next(seqs)),))
    trail.confirmed()
    kept = state(trail, {"a": 5, "b": 7})
    known = {offset: kept.positions(offset) for offset in (None, "a:2", "a:3", "a:4", "a:5", "a:6")}
    assert known == dict.fromkeys((None, "a:2", "a:3", "a:6")) | {"a:4": {"a": 4, "b": 7}, "a:5": {"a": 5, "b": 7}}


def test_a_trail_is_bounded() -> None:
    trail = Trail(None)
    for seq in range(1, 3 * MOST_CHUNKS):
        trail.add((Mark("a", seq),))
    assert len(trail.marks) <= MOST_CHUNKS
    kept = state(trail, {"a": 3 * MOST_CHUNKS - 1})
    assert kept.positions(f"a:{trail.marks[0].seq - 1}") == {"a": trail.marks[0].seq - 1}
    assert kept.positions("a:1") is None


def test_what_a_client_asked_for_again_leaves_no_doubt() -> None:
    """After a `sync` with older positions, an event may come twice: its offset is not known any more."""
    trail = Trail(None)
    trail.add((Mark("a", 1), Mark("a", 2)))
    trail.forget()
    assert state(trail, {"a": 2}).positions("a:2") is None
    trail.add((Mark("a", 2),))
    assert state(trail, {"a": 2}).positions("a:2") == {"a": 2}
    trail.add((Mark("a", 2),))
    assert state(trail, {"a": 2}).positions("a:2") is None


async def test_sessions_are_kept_within_bounds_of_bytes_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, one = Held(), encode(state(Trail(None), {"a": 1}))
    monkeypatch.setattr(held, "HELD_BYTES", 3 * len(one))
    monkeypatch.setattr(held, "STATE_BYTES", len(one))
    for pid in "vwxyz":
        kept.put(pid, one)
    assert [pid for pid in "vwxyz" if pid in kept] == ["x", "y", "z"]
    assert [pid for pid, _, _ in kept.newest(2 * len(one))] == ["z", "y"]
    kept.put("large", one + one)
    kept.put("past", one, seconds=0)
    assert "large" not in kept
    assert (kept.take("past", "t", "ann"), kept.take("z", "t", "bob"), kept.take("z", "other", "ann")) == (None, None, None)
    assert kept.take("z", "t", "ann") == state(Trail(None), {"a": 1})
    assert kept.take("z", "t", "ann") is None
