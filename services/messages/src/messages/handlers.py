"""Handles a batch of commands: judged, numbered and stored in one round trip to PostgreSQL and one transaction.

The one way in which a command changes a conversation, from the bus and from the API alike. Publishing what came of it is left to
the caller, and happens after the commit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from chassis.errors import error_for
from chassis.postgres import LOCK_SECONDS, Database
from messages.commands import Body, Command, Delete, Edit, Outcome, Pin, Post, React, Read, Stored, Verdict
from messages.message import NO_DETAILS, Details, Entry, EntryKind, Range
from messages.metrics import BATCH_COMMANDS, BATCH_SECONDS, COMMANDS
from messages.store import commands as store
from messages.store import log
from messages.store.commands import Answer, Asked

_IMPATIENT_SECONDS = 0.05
"""So long an impatient batch waits for whoever is changing one of its channels."""
_VERDICTS: dict[str, Verdict] = {verdict.value: verdict for verdict in Verdict}


async def handle(database: Database, batch: Sequence[Command], *, patient: bool = True) -> Stored:
    """Store a batch. Order within each channel is the batch's.

    Idempotent: a command that comes again finds the entry it made. Raises `Unavailable`, after which it is not known
    whether the batch is stored (so repeat it), and `psycopg.Error` when the database refuses it: then nothing of it is stored.
    Unless `patient`, it costs less while nobody else changes these channels, and else fails rather than wait.
    """
    started = time.perf_counter()
    tenants = sorted({command.tenant for command in batch})
    reads = [(command, command.body) for command in batch if isinstance(command.body, Read)]
    asked = [_ask(run) for run in _runs(batch)]
    asked_reads = store.ask_reads(reads) if reads else None
    queries = [each.query for each in asked]
    if asked_reads:
        queries.append(asked_reads.query)
    locks = []
    if patient or len(asked) > 1 or any(not isinstance(command.body, Post | Read) for command in batch):
        locks = [store.ask_locks(sorted({command.channel for command in batch}))]
    lock_seconds = LOCK_SECONDS if patient else _IMPATIENT_SECONDS
    found = (await database.pipeline(tenants, [*locks, *queries], lock_seconds=lock_seconds))[len(locks) :]
    BATCH_COMMANDS.observe(len(batch))
    BATCH_SECONDS.observe(time.perf_counter() - started)
    result = _Result()
    for each, rows in zip(asked, found, strict=False):  # the last rows may be those of reads
        for command, answer in each.answers(rows):
            result.add(command, answer)
    for (body, verdict), count in result.counts.items():
        COMMANDS.labels(kind_of(body), verdict).inc(count)
    receipts = asked_reads.receipts(found[-1]) if asked_reads else []
    entries = await _with_again(database, tenants, result)
    return Stored(result.outcomes, entries, receipts, sorted(result.noted))


@dataclass(slots=True)
class _Result:
    """What the answers amount to."""

    outcomes: list[Outcome] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    again: list[Range] = field(default_factory=list)
    noted: set[int] = field(default_factory=set)
    counts: dict[tuple[type[Body], str], int] = field(default_factory=dict)
    """By what commands wanted and what became of them."""

    def add(self, command: Command, answer: Answer) -> None:
        """Take one command's answer in."""
        counted = type(command.body), answer.verdict
        self.counts[counted] = self.counts.get(counted, 0) + 1
        if answer.noted is not None:
            self.noted.add(answer.noted)
        verdict = _VERDICTS.get(answer.verdict)
        if verdict is None:
            error = error_for(answer.verdict, retry_after=answer.wait)
            self.outcomes.append(Outcome(command.id, command.gateway, command.channel, error=error))
            return
        seq = answer.seq or 0
        self.outcomes.append(Outcome(command.id, command.gateway, command.channel, verdict, None, seq, answer.message, answer.at))
        if verdict is Verdict.FRESH:
            self.entries.append(_entry(command, answer))
        elif verdict is Verdict.AGAIN:
            self.again.append(Range(command.channel, seq - 1, seq))


def kind_of(body: type[Body]) -> str:
    """What a command wants, in a word for metrics."""
    return body.__name__.lower()


async def _with_again(database: Database, tenants: Sequence[str], result: _Result) -> list[Entry]:
    """The new entries, and as they stand now those of commands that came again: a crash may have kept them from the bus."""
    if not result.again:
        return result.entries
    async with database.connection(tenants) as connection:
        stored = [entry for page in log.pages(result.again) for entry in await log.read(connection, page)]
    return sorted([*stored, *result.entries], key=lambda entry: entry.seq)


def _runs(batch: Sequence[Command]) -> Iterator[list[Command]]:
    """Cut into runs that one statement can take: posts of distinct keys together, everything else one by one.

    A key that comes twice starts a new run, whose statement finds the entry that the former made.
    """
    run: list[Command] = []
    keys: set[tuple[str, str, str]] = set()
    for command in batch:
        match command.body:
            case Post():
                key = (command.channel, command.actor, command.key)
                if key in keys:
                    yield run
                    run, keys = [], set()
                run.append(command)
                keys.add(key)
            case Read():
                pass
            case _:
                if run:
                    yield run
                    run, keys = [], set()
                yield [command]
    if run:
        yield run


def _ask(run: list[Command]) -> Asked:
    return store.ask_posts(run) if isinstance(run[0].body, Post) else store.ask_change(run[0])


def _entry(command: Command, answer: Answer) -> Entry:
    """The entry that a command made, from what it said: the very values that were stored."""
    body = command.body
    key, text, details = None, None, NO_DETAILS
    match body:
        case Post():
            kind, key, text = EntryKind.MESSAGE_POSTED, command.key, body.text
            details = store.details_of(body) or NO_DETAILS
        case Edit():
            kind, text = EntryKind.MESSAGE_EDITED, body.text
        case Delete():
            kind = EntryKind.MESSAGE_DELETED
        case React():
            kind = EntryKind.REACTION_REMOVED if body.remove else EntryKind.REACTION_ADDED
            details = Details(emoji=body.emoji)
        case Pin():
            kind = EntryKind.MESSAGE_UNPINNED if body.remove else EntryKind.MESSAGE_PINNED
        case Read():
            raise AssertionError(body)
        case _:
            assert_never(body)
    if answer.seq is None:
        raise AssertionError(answer)
    return Entry(
        command.channel, answer.seq, command.tenant, kind, command.actor, answer.at,
        key, command.id, answer.message, text, details,
    )  # fmt: skip
