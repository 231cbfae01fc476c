"""Carries out a batch of commands in one transaction and one round trip to PostgreSQL: locks, then statements, then outcomes.

Every command takes this way, from the bus and from the API. Publishing the entries is left to the caller, after the commit.

1. Lock the channels of all commands but reads, in the order of their ids.
2. Judge, number and store: one statement for each run of posts (`posts`), one for each other command (`changes`), in batch order.
3. Move read positions: one statement (`reads`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from chassis.errors import error_for
from chassis.pipeline import Query, Statement
from chassis.postgres import LOCK_SECONDS, Database
from messages.commands import changes, posts, reads
from messages.commands.judgement import Answer, answers
from messages.commands.model import Body, Command, Outcome, Post, Read, Stored, Verdict
from messages.limits import DEFAULT_LIMITS, Limits
from messages.message import Entry, Range
from messages.metrics import BATCH_COMMANDS, BATCH_SECONDS, COMMANDS
from messages.store import log

_LOCK_CHANNELS = Statement("SELECT FROM channels WHERE id = ANY(%(channels)s::uuid[]) ORDER BY id FOR NO KEY UPDATE")
_VERDICTS: dict[str, Verdict] = {verdict.value: verdict for verdict in Verdict}


async def handle(
    database: Database, batch: Sequence[Command], limits: Limits = DEFAULT_LIMITS, *, lock_seconds: float = LOCK_SECONDS
) -> Stored:
    """Carry out a batch. Commands of one channel take effect in the order of the batch.

    Idempotent: a redelivered command finds the entry that it made. Raises `Unavailable` when it is unknown whether the batch was
    stored, or when a channel's lock was not granted within `lock_seconds`: repeat it. Raises `psycopg.Error` when the database
    refuses a command: nothing of the batch was stored.
    """
    started = time.perf_counter()
    tenants = sorted({command.tenant for command in batch})
    runs = list(_runs(batch))
    positions = reads.furthest(batch)
    queries = [_lock(runs), *(_query(run, limits) for run in runs)] if runs else []
    if positions:
        queries.append(reads.query(positions))
    found = await database.pipeline(tenants, queries, lock_seconds=lock_seconds)
    BATCH_COMMANDS.observe(len(batch))
    BATCH_SECONDS.observe(time.perf_counter() - started)

    results = _Results()
    for run, rows in zip(runs, found[1:], strict=False):
        for command, answer in zip(run, answers(rows), strict=True):
            results.add(command, answer)
    for (body, verdict), count in results.counts.items():
        COMMANDS.labels(kind_of(body), verdict).inc(count)
    moved = reads.moved(positions, found[-1]) if positions else reads.Moved([], [])
    entries = await _to_publish(database, tenants, results)
    return Stored(results.outcomes, entries, moved.receipts, moved.reads, sorted(results.unpublished))


def kind_of(body: type[Body]) -> str:
    """The metric label of a kind of command."""
    return body.__name__.lower()


def _runs(batch: Sequence[Command]) -> Iterator[list[Command]]:
    """Cut a batch into runs for one statement each: posts with distinct keys together, every other command alone.

    A repeated key starts a new run, whose statement finds the entry that the former run made.
    """
    run: list[Command] = []
    keys: set[tuple[str, str, str]] = set()
    for command in batch:
        if isinstance(command.body, Read):
            continue
        key = (command.channel, command.actor, command.key)
        is_post = isinstance(command.body, Post)
        if run and (not is_post or key in keys):
            yield run
            run, keys = [], set()
        if is_post:
            run.append(command)
            keys.add(key)
        else:
            yield [command]
    if run:
        yield run


def _lock(runs: Sequence[Sequence[Command]]) -> Query:
    channels = sorted({command.channel for run in runs for command in run})
    return _LOCK_CHANNELS.query({"channels": channels})


def _query(run: Sequence[Command], limits: Limits) -> Query:
    return posts.query(run) if isinstance(run[0].body, Post) else changes.query(run[0], limits)


@dataclass(slots=True)
class _Results:
    """The answers of a batch, collected."""

    outcomes: list[Outcome] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    """New ones."""
    redelivered: list[Range] = field(default_factory=list)
    """Entries that commands made in an earlier delivery."""
    unpublished: set[int] = field(default_factory=set)
    counts: dict[tuple[type[Body], str], int] = field(default_factory=dict)
    """Commands by kind and verdict."""

    def add(self, command: Command, answer: Answer) -> None:
        """Add what became of a command."""
        counted = type(command.body), answer.verdict
        self.counts[counted] = self.counts.get(counted, 0) + 1
        if answer.unpublished is not None:
            self.unpublished.add(answer.unpublished)
        verdict = _VERDICTS.get(answer.verdict)
        if verdict is None:
            error = error_for(answer.verdict, retry_after=answer.wait)
            self.outcomes.append(Outcome(command.id, command.gateway, command.channel, error=error))
            return
        seq = answer.seq or 0
        self.outcomes.append(Outcome(command.id, command.gateway, command.channel, verdict, None, seq, answer.message, answer.at))
        if verdict is Verdict.FRESH:
            self.entries.append((posts if isinstance(command.body, Post) else changes).entry(command, answer))
        elif verdict is Verdict.AGAIN:
            self.redelivered.append(Range(command.channel, seq - 1, seq))


async def _to_publish(database: Database, tenants: Sequence[str], results: _Results) -> list[Entry]:
    """The new entries, and those of redelivered commands as they are now: a crash may have kept them from the bus."""
    if not results.redelivered:
        return results.entries
    async with database.connection(tenants) as connection:
        stored = [entry for page in log.pages(results.redelivered) for entry in await log.read(connection, page)]
    return sorted([*stored, *results.entries], key=lambda entry: entry.seq)
