"""What a checkpoint says, above all while the application is told of a new epoch."""

from hubbub_client import Checkpoint, Event, Joined, Left, Reset, Signal
from hubbub_client.progress import Progress


def event(channel: str, seq: int) -> Event:
    return Event(channel, seq, "message.posted", "ann", "", {})


def test_a_channel_without_events_keeps_the_position_of_the_first_connection() -> None:
    progress = Progress(None)
    assert progress.checkpoint() is None
    progress.connected("e1", {"a": 3, "b": 8}, [])
    progress.connected("e1", {"a": 9, "b": 8}, [])
    assert progress.checkpoint() == Checkpoint("e1", {"a": 3, "b": 8})
    progress.finished(event("a", 4))
    progress.finished(Joined("c", 12, "group", "c", "member"))
    progress.finished(Left("b"))
    progress.finished(Signal("typing", {"channel": "a"}))
    assert progress.checkpoint() == Checkpoint("e1", {"a": 4, "c": 12})
    progress.finished(Reset("a", 5000, 4, epoch=False))
    assert progress.checkpoint() == Checkpoint("e1", {"a": 5000, "c": 12})


def test_a_checkpoint_stays_in_the_old_epoch_until_every_reset_is_done() -> None:
    progress = Progress(Checkpoint("e1", {"a": 10, "b": 20}))
    progress.connected("e2", {"a": 7, "b": 15}, [Reset("a", 7, 10, epoch=True), Reset("b", 15, 20, epoch=True)])
    progress.finished(event("b", 21))  # of the old epoch: it was on its way
    progress.finished(Reset("a", 7, 10, epoch=True))
    progress.finished(event("a", 8))
    assert progress.checkpoint() == Checkpoint("e1", {"a": 10, "b": 21})
    progress.finished(Reset("b", 15, 21, epoch=True))
    assert progress.checkpoint() == Checkpoint("e2", {"a": 8, "b": 15})


def test_an_epoch_without_resets_begins_at_once() -> None:
    progress = Progress(Checkpoint("e1", {}))
    progress.connected("e2", {}, [])
    assert progress.checkpoint() == Checkpoint("e2", {})
