"""The checker finds and names each kind of violation that is planted into a correct run."""

import copy
import dataclasses
import random
from collections.abc import Callable

import pytest

from tests.faults.checker import RULES, check
from tests.faults.epoch_rules import lost
from tests.faults.record import Acked, Attempt, Entry, FeedStep, Fence, Peek, Promotion, Reading, Record, Refused, Sight

ROOM = "room"
Logs = dict[str, list[Entry]]


@dataclasses.dataclass
class Run:
    """A correct run for tests to spoil: ann and bob write, cat is removed and returns, all three read."""

    record: Record
    log: list[Entry]
    clock: float = 0.0

    def tick(self) -> float:
        self.clock += 1.0
        return self.clock

    def enter(self, kind: str, actor: str, **data: object) -> int:
        self.log.append(Entry(len(self.log) + 1, kind, actor, f"2026-11-24T08:00:{len(self.log):02}Z", data))
        return len(self.log)

    def post(self, actor: str, key: str, text: str, refusals: int = 0) -> int:
        for _ in range(refusals):
            outcome = Refused("UNAVAILABLE")
            self.record.attempts.append(
                Attempt(actor, ROOM, "message.posted", {"text": text}, key, self.tick(), self.tick(), outcome)
            )
        began = self.tick()
        seq = self.enter("message.posted", actor, message=f"m-{key}", key=key, text=text, thread=None)
        acked = Acked(seq, f"m-{key}", duplicate=refusals > 0)
        self.record.attempts.append(Attempt(actor, ROOM, "message.posted", {"text": text}, key, began, self.tick(), acked))
        return seq

    def change(self, kind: str, actor: str, key: str, **data: object) -> int:
        began = self.tick()
        seq = self.enter(kind, actor, message=f"m-{key}", **data)
        acked = Acked(seq, f"m-{key}")
        wanted = {"message": f"m-{key}", **data}
        self.record.attempts.append(Attempt(actor, ROOM, kind, wanted, "", began, self.tick(), acked))
        return seq

    def show(self, reader: str, start: int, how: str = "asked", end: int | None = None) -> None:
        reading = next((one for one in self.record.readings if one.reader == reader), None)
        if reading is None:
            reading = Reading(reader, reader)
            self.record.readings.append(reading)
        stretch = reading.begin(ROOM, start, how)  # type: ignore[arg-type]
        stretch.sights += [Sight(self.tick(), copy.deepcopy(entry)) for entry in self.log[start:end]]

    def follow(self, start: int, end: int | None = None, epoch: str = "1") -> None:
        """A product is sent a stretch of the log by a new stream."""
        self.record.feed.append(FeedStep("stream"))
        self.record.feed += [FeedStep("event", epoch, ROOM, each.seq, copy.deepcopy(each)) for each in self.log[start:end]]


def run() -> Run:
    one = Run(Record(sync_events=5), [])
    one.enter("channel.created", "ann", name="room", topic="", slow_mode_seconds=0)
    for user in ("ann", "bob", "cat"):
        one.enter("member.joined", "ann", user=user, role="member")
    one.post("ann", "a1", "hello")
    one.post("bob", "b1", "hi", refusals=2)
    one.change("reaction.added", "ann", "b1", emoji="👍")
    one.show("ann", 0)
    one.show("cat", 0)
    one.post("ann", "a2", "a secret")
    one.show("cat", 7)
    removal = one.enter("member.removed", "ann", user="cat", role="")
    one.show("cat", 8)
    one.post("bob", "b2", "cat is gone")
    one.record.fences.append(Fence("cat", ROOM, removal, opened=one.tick()))
    one.enter("member.joined", "ann", user="cat", role="member")
    one.show("cat", removal)
    one.change("message.edited", "bob", "b2", text="cat was gone")
    deletion = one.change("message.deleted", "ann", "a2")
    one.log[7] = erased(one.log[7])
    one.show("cat", 11)
    one.show("ann", 7)
    one.show("bob", deletion, how="reset")
    for user in ["ann", "bob", "cat"]:
        next(reading for reading in one.record.readings if reading.reader == user).settled = True
    for number in range(3):
        one.post("ann", f"c{number}", f"closing {number}")
    one.show("ann", deletion)
    one.show("bob", deletion)
    one.show("cat", deletion)
    one.follow(0, 9)
    one.record.feed.append(FeedStep("acknowledged", "1"))
    one.follow(9, 12)
    one.follow(9)
    return one


def erased(entry: Entry) -> Entry:
    return dataclasses.replace(entry, data={**entry.data, "text": None})


def sights(one: Run, reader: str, stretch: int = -1) -> list[Sight]:
    return next(reading for reading in one.record.readings if reading.reader == reader).stretches[stretch].sights


def attempt(one: Run, key: str) -> int:
    """The index of the last attempt with a key."""
    return max(index for index, each in enumerate(one.record.attempts) if each.key == key)


def answer(one: Run, key: str, outcome: Acked | Refused | None) -> None:
    index = attempt(one, key)
    one.record.attempts[index] = dataclasses.replace(one.record.attempts[index], outcome=outcome)


def lost_acknowledgement(one: Run) -> None:
    begin = one.clock
    acked = Acked(5, "m-a9")
    one.record.attempts.append(Attempt("ann", ROOM, "message.posted", {"text": "?"}, "a9", begin, one.tick(), acked))


def gap_in_the_log(one: Run) -> None:
    one.log[4:] = [dataclasses.replace(entry, seq=entry.seq + 1) for entry in one.log[4:]]


def missing_log(one: Run) -> None:
    one.record.attempts.append(Attempt("ann", "other", "message.posted", {}, "o1", 0, 1, Acked(1, "m-o1")))


def swap_in_the_log(one: Run) -> None:
    """A later message overtakes an earlier, acknowledged one; readers and acknowledgements agree with the log."""
    first, second = (attempt(one, key) for key in ("c0", "c1"))
    tries = one.record.attempts
    times = [(tries[index].began, tries[index].ended) for index in (first, second)]
    for index, (began, ended) in zip((second, first), times, strict=True):
        tries[index] = dataclasses.replace(tries[index], began=began, ended=ended)


def same_key_twice_in_the_log(one: Run) -> None:
    seq = one.enter("message.posted", "ann", message="m-a1-again", key="a1", text="hello", thread=None)
    for reader in ("ann", "bob", "cat"):
        sights(one, reader).append(Sight(one.tick(), one.log[seq - 1]))


def edit_made_twice(one: Run) -> None:
    one.enter("message.edited", "bob", message="m-b2", text="cat was gone")
    for reader in ("ann", "bob", "cat"):
        sights(one, reader).append(Sight(one.tick(), one.log[-1]))


def two_numbers_for_one_key(one: Run) -> None:
    acked = Acked(6, "m-a1", duplicate=True)
    one.record.attempts.append(Attempt("ann", ROOM, "message.posted", {"text": "hello"}, "a1", 0, 1, acked))


def wrong_number_acknowledged(one: Run) -> None:
    answer(one, "a1", Acked(6, "m-a1"))


def wrong_message_acknowledged(one: Run) -> None:
    answer(one, "a1", Acked(5, "m-b1"))


def wrong_number_of_a_reaction(one: Run) -> None:
    index = next(i for i, each in enumerate(one.record.attempts) if each.kind == "reaction.added")
    one.record.attempts[index] = dataclasses.replace(one.record.attempts[index], outcome=Acked(6, "m-b1"))


def text_altered_in_the_log(one: Run) -> None:
    one.log[4] = dataclasses.replace(one.log[4], data={**one.log[4].data, "text": "hullo"})


def text_altered_before_a_reader(one: Run) -> None:
    seen = sights(one, "ann", 0)
    seen[4] = dataclasses.replace(seen[4], entry=dataclasses.replace(seen[4].entry, data={**seen[4].entry.data, "text": "x"}))


def text_withheld_from_a_reader(one: Run) -> None:
    seen = sights(one, "ann", 0)
    seen[4] = dataclasses.replace(seen[4], entry=erased(seen[4].entry))


def nobodys_message(one: Run) -> None:
    one.record.attempts = [each for each in one.record.attempts if each.key != "b1"]


def refused_and_yet_there(one: Run) -> None:
    answer(one, "a1", Refused("NOT_ALLOWED"))


def deleted_text_kept(one: Run) -> None:
    one.log[7] = dataclasses.replace(one.log[7], data={**one.log[7].data, "text": "a secret"})


def hole_before_a_reader(one: Run) -> None:
    del sights(one, "ann", 0)[2]


def swap_before_a_reader(one: Run) -> None:
    seen = sights(one, "ann", 0)
    seen[2], seen[3] = seen[3], seen[2]


def event_shown_twice(one: Run) -> None:
    seen = sights(one, "ann", 0)
    seen.insert(3, seen[2])


def missing_tail(one: Run) -> None:
    sights(one, "bob").pop()


def needless_reset(one: Run) -> None:
    for _ in range(2):
        one.show("ann", len(one.log), how="reset")


def deleted_text_sent_again(one: Run) -> None:
    one.show("ann", 0)
    seen = sights(one, "ann")
    seen[7] = dataclasses.replace(seen[7], entry=sights(one, "cat", 1)[0].entry)


def leak_past_the_fence(one: Run) -> None:
    seen = sights(one, "cat", 2)
    seen.append(Sight(seen[-1].at + 0.5, one.log[9]))


def leak_over_http(one: Run) -> None:
    one.record.peeks.append(Peek("cat", ROOM, one.record.fences[0].opened - 0.5, highest=10))


def leak_to_who_never_came_back(one: Run) -> None:
    """A removal that is in the log alone, and in no record."""
    one.enter("member.removed", "ann", user="bob", role="")
    one.post("ann", "d1", "bob is gone")
    one.show("bob", one.record.readings[-1].position(ROOM))


def removal_that_did_not_happen(one: Run) -> None:
    one.record.fences.append(Fence("bob", ROOM, removal=6))


def go_back(one: Run) -> None:
    """The store loses ann's last two posts after dan has seen them; bob posts under their numbers, and dan is reset."""
    kept = len(one.log)
    for key in ("e1", "e2"):
        one.post("ann", key, f"lost {key}")
    one.show("dan", kept)
    one.follow(kept)
    del one.log[kept:]
    one.record.promotions.append(Promotion(one.tick(), "2", {ROOM: kept}))
    for key in ("f1", "f2", "f3"):
        one.post("bob", key, f"instead {key}")
    one.record.feed.append(FeedStep("reset", "2", ROOM, kept))
    one.follow(kept, epoch="2")
    reader = one.record.readings[-1]
    reader.begin(ROOM, kept + 2, "reset", "2").sights.append(Sight(one.tick(), one.log[-1]))
    for each in one.record.readings:
        each.settled = False
    reader.settled = True


def resume_in_another_epoch(one: Run) -> None:
    go_back(one)
    one.record.readings[-1].stretches[-1].how = "asked"


def two_epochs_in_one_stream(one: Run) -> None:
    """As before there were epochs: dan keeps the lost entries and receives what follows the ones that took their numbers."""
    go_back(one)
    one.record.readings[-1].stretches[0].sights.append(Sight(one.tick(), one.log[-1]))


def hole_in_an_earlier_epoch(one: Run) -> None:
    go_back(one)
    del one.record.readings[-1].stretches[0].sights[0]


def lost_entry_shown_again(one: Run) -> None:
    go_back(one)
    earlier, later = one.record.readings[-1].stretches
    later.sights[0] = dataclasses.replace(
        earlier.sights[-1], entry=dataclasses.replace(earlier.sights[-1].entry, seq=len(one.log))
    )


def lost_before_the_promotion(one: Run) -> None:
    """The standby had the entry when it took over."""
    go_back(one)
    del one.log[4:]


def fed(one: Run) -> list[int]:
    """The indexes of the events that the product received."""
    return [index for index, step in enumerate(one.record.feed) if step.what == "event"]


def event_missing_in_the_feed(one: Run) -> None:
    del one.record.feed[fed(one)[-1]]


def hole_in_the_feed(one: Run) -> None:
    del one.record.feed[fed(one)[3]]
    one.follow(3, 4)


def hole_between_two_streams_of_the_feed(one: Run) -> None:
    for index in reversed(fed(one)[:9]):
        if one.record.feed[index].seq > 6:
            del one.record.feed[index]
    one.follow(6)


def swap_in_the_feed(one: Run) -> None:
    first, second = fed(one)[2:4]
    steps = one.record.feed
    steps[first], steps[second] = steps[second], steps[first]


def acknowledged_event_fed_again(one: Run) -> None:
    one.follow(8)


def text_altered_in_the_feed(one: Run) -> None:
    index = fed(one)[-1]
    entry = one.log[-1]
    altered = dataclasses.replace(entry, data={**entry.data, "text": "x"})
    one.record.feed[index] = dataclasses.replace(one.record.feed[index], entry=altered)


def lost_entries_not_reset_in_the_feed(one: Run) -> None:
    """The product keeps a lost entry whose number was not given out again."""
    go_back(one)
    one.record.feed = [step for step in one.record.feed if step.what != "reset"]
    del one.log[-2:]
    one.record.feed = one.record.feed[:-2]


FEED_VIOLATIONS: list[Callable[[Run], None]] = [
    event_missing_in_the_feed,
    hole_in_the_feed,
    hole_between_two_streams_of_the_feed,
    swap_in_the_feed,
    acknowledged_event_fed_again,
    text_altered_in_the_feed,
    lost_entries_not_reset_in_the_feed,
]
VIOLATIONS: list[tuple[Callable[[Run], None], str]] = [
    (lost_acknowledgement, "lost"),
    (missing_log, "lost"),
    (gap_in_the_log, "gap"),
    (swap_in_the_log, "order"),
    (same_key_twice_in_the_log, "duplicate"),
    (edit_made_twice, "duplicate"),
    (two_numbers_for_one_key, "number"),
    (wrong_number_acknowledged, "number"),
    (wrong_message_acknowledged, "number"),
    (wrong_number_of_a_reaction, "number"),
    (text_altered_in_the_log, "altered"),
    (text_altered_before_a_reader, "altered"),
    (text_withheld_from_a_reader, "altered"),
    (nobodys_message, "phantom"),
    (refused_and_yet_there, "refused"),
    (deleted_text_kept, "kept"),
    (hole_before_a_reader, "hole"),
    (swap_before_a_reader, "repeat"),
    (event_shown_twice, "repeat"),
    (missing_tail, "tail"),
    (needless_reset, "reset"),
    (deleted_text_sent_again, "resurrected"),
    (leak_past_the_fence, "leak"),
    (leak_over_http, "leak"),
    (leak_to_who_never_came_back, "leak"),
    (removal_that_did_not_happen, "lost"),
    (resume_in_another_epoch, "epoch"),
    (two_epochs_in_one_stream, "epoch"),
    (hole_in_an_earlier_epoch, "hole"),
    (lost_entry_shown_again, "altered"),
    (lost_before_the_promotion, "lost"),
    *((plant, "feed") for plant in FEED_VIOLATIONS),
]


def test_a_correct_run_has_no_finding() -> None:
    one = run()
    assert check(one.record, {ROOM: one.log}) == []


def test_what_a_promoted_standby_lacked_is_no_finding() -> None:
    one = run()
    go_back(one)
    assert check(one.record, {ROOM: one.log}) == []
    assert lost(one.record, {ROOM: one.log}) == 2


@pytest.mark.parametrize(("plant", "rule"), VIOLATIONS, ids=[plant.__name__ for plant, _ in VIOLATIONS])
def test_a_planted_violation_is_named(plant: Callable[[Run], None], rule: str) -> None:
    one = run()
    plant(one)
    assert rule in {finding.rule for finding in check(one.record, {ROOM: one.log})}


def test_every_rule_has_a_planted_violation() -> None:
    assert {rule for _, rule in VIOLATIONS} == RULES.keys()


def test_an_unanswered_command_may_be_in_the_log_or_not() -> None:
    one = run()
    answer(one, "a1", None)
    one.record.attempts.append(Attempt("ann", ROOM, "message.posted", {"text": "?"}, "a9", 0, 1, None))
    one.record.attempts.append(Attempt("ann", ROOM, "message.posted", {"text": "?"}, "a8", 0, 1, Refused("UNAVAILABLE")))
    assert check(one.record, {ROOM: one.log}) == []


def test_a_reader_that_was_cut_off_at_the_end_may_miss_the_last_events() -> None:
    one = run()
    missing_tail(one)
    next(reading for reading in one.record.readings if reading.reader == "bob").settled = False
    assert check(one.record, {ROOM: one.log}) == []


def test_a_reset_beyond_the_limit_is_no_violation() -> None:
    one = run()
    one.record.readings.append(Reading("dan", "ann"))
    one.record.readings[-1].begin(ROOM, 6, "reset")
    assert check(one.record, {ROOM: one.log}) == []


def test_a_returned_member_may_read_what_it_missed() -> None:
    one = run()
    one.show("cat", 8)
    assert check(one.record, {ROOM: one.log}) == []


@pytest.mark.parametrize("seed", range(20))
def test_a_randomly_spoiled_stream_is_never_accepted(seed: int) -> None:
    dice = random.Random(seed)
    one = run()
    seen = sights(one, "ann", 0)
    index = dice.randrange(len(seen) - 1)
    match dice.randrange(3):
        case 0:
            del seen[index]
        case 1:
            seen.insert(dice.randrange(index + 1, len(seen) + 1), seen[index])
        case _:
            seen[index], seen[index + 1] = seen[index + 1], seen[index]
    assert check(one.record, {ROOM: one.log}) != []
