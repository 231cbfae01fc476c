"""Handles a batch of commands: judged, numbered and stored in one round trip to PostgreSQL and one transaction.

The one way in which a command changes a conversation, from the bus and from the API alike. Publishing what came of it is left to
the caller, and happens after the commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import assert_never

from psycopg.errors import SerializationFailure, UniqueViolation

from chassis.errors import Unavailable, error_for
from chassis.pipeline import Query, Rows
from chassis.postgres import LOCK_SECONDS, Database
from messages.commands import Body, Command, Delete, Edit, Outcome, Pin, Post, React, Read, Stored, Verdict
from messages.heads import Heads
from messages.message import NO_DETAILS, Details, Entry, EntryKind, Range, Receipt
from messages.metrics import BATCH_COMMANDS, BATCH_SECONDS, COMMANDS, NUMBERED, OUTDATED
from messages.store import commands as store
from messages.store import log
from messages.store.commands import Answer, Asked, AskedNumbered, AskedReads

_IMPATIENT_SECONDS = 0.05
"""So long an impatient batch waits for whoever is changing one of its channels."""
_VERDICTS: dict[str, Verdict] = {verdict.value: verdict for verdict in Verdict}


async def handle(database: Database, batch: Sequence[Command], *, heads: Heads | None = None) -> Stored:
    """Store a batch. Order within each channel is the batch's.

    Idempotent: a command that comes again finds the entry it made. Raises `Unavailable`, after which it is not known
    whether the batch is stored (so repeat it), and `psycopg.Error` when the database refuses it: then nothing of it is stored.
    With `heads` it costs less while nobody else changes these channels, and fails rather than wait for somebody who does.
    """
    if heads is None:
        return await _handle(database, batch, None, [])
    try:
        return await _handle_by_heads(database, batch, heads)
    except BaseException:  # cancelled, too
        heads.forget({command.channel for command in batch})
        raise


async def _handle_by_heads(database: Database, batch: Sequence[Command], heads: Heads) -> Stored:
    run = heads.run_of(batch)
    try:
        return await _handle(database, batch, heads, run)
    except (Unavailable, UniqueViolation) as error:
        if not run or not isinstance(error.__cause__ or error, SerializationFailure | UniqueViolation):
            raise
    OUTDATED.inc()
    heads.suspect({command.channel for command in run})
    return await _handle(database, batch, heads, [])


async def _handle(database: Database, batch: Sequence[Command], heads: Heads | None, run: Sequence[Command]) -> Stored:
    """Store a batch: the posts of `run` with the numbers that `heads` gives them, the others as they are judged."""
    started = time.perf_counter()
    tenants = sorted({command.tenant for command in batch})
    result = _Result()
    steps = list(_steps(batch, heads, run, result))
    lock_seconds = LOCK_SECONDS if heads is None else _IMPATIENT_SECONDS
    found = await database.pipeline(tenants, [query for query, _ in steps], lock_seconds=lock_seconds)
    BATCH_COMMANDS.observe(len(batch))
    BATCH_SECONDS.observe(time.perf_counter() - started)
    for (_, take), rows in zip(steps, found, strict=True):
        take(rows)
    for (body, verdict), count in result.counts.items():
        COMMANDS.labels(kind_of(body), verdict).inc(count)
    entries = await _with_again(database, tenants, result)
    return Stored(result.outcomes, entries, result.receipts, sorted(result.noted))


def _steps(
    batch: Sequence[Command], heads: Heads | None, run: Sequence[Command], result: _Result
) -> Iterator[tuple[Query, Callable[[Rows], object]]]:
    """What is asked, in order, each with what takes its rows in."""
    numbered = store.ask_numbered(run, heads) if heads and run else None
    others = [command for command in batch if command.channel not in numbered.heads] if numbered else batch
    runs = list(_runs(others))
    if heads is None or len(runs) > 1 or any(not isinstance(command.body, Post | Read) for command in others):
        yield store.ask_locks(sorted({command.channel for command in others})), _ignore
    if heads and numbered:
        yield numbered.query, partial(result.take_numbered, numbered, heads)
    for each in runs:
        asked = _ask(each)
        yield asked.query, partial(result.take, asked)
    if reads := [(command, command.body) for command in batch if isinstance(command.body, Read)]:
        asked_reads = store.ask_reads(reads)
        yield asked_reads.query, partial(result.take_reads, asked_reads)
    if heads and (unknown := heads.to_learn({command.channel for each in runs for command in each})):
        yield store.ask_heads(unknown), partial(result.take_heads, heads)


def _ignore(_rows: Rows) -> None:
    """Locks say nothing."""


@dataclass(slots=True)
class _Result:
    """What the answers amount to."""

    outcomes: list[Outcome] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    again: list[Range] = field(default_factory=list)
    noted: set[int] = field(default_factory=set)
    judged: list[tuple[Command, Answer]] = field(default_factory=list)
    counts: dict[tuple[type[Body], str], int] = field(default_factory=dict)
    """By what commands wanted and what became of them."""

    def take(self, asked: Asked, rows: Rows) -> None:
        """Take in what became of commands that were judged."""
        answers = asked.answers(rows)
        self.judged += answers
        for command, answer in answers:
            self._add(command, answer)

    def take_numbered(self, asked: AskedNumbered, heads: Heads, rows: Rows) -> None:
        """Take in that posts were stored as they were numbered."""
        NUMBERED.inc(len(asked.run))
        heads.keep(asked.heads)
        for command, answer in asked.answers(rows):
            self._add(command, answer)

    def take_reads(self, asked: AskedReads, rows: Rows) -> None:
        """Take in which read positions moved."""
        self.receipts = asked.receipts(rows)

    def take_heads(self, heads: Heads, rows: Rows) -> None:
        """Take in where the channels of what was judged stand now."""
        heads.learn(store.heads_of(rows), ((command, answer.verdict) for command, answer in self.judged))

    def _add(self, command: Command, answer: Answer) -> None:
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
