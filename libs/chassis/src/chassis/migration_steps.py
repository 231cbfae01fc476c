"""Reads the steps of a migration that is not one transaction.

    -- hubbub: steps
    -- step
    ALTER TABLE entries ADD COLUMN words integer;
    CREATE TRIGGER counted BEFORE INSERT OR UPDATE OF text ON entries ...
    -- step: blocks entries
    UPDATE entries SET words = 0 WHERE {blocks} AND words IS NULL;
    -- step: concurrently
    CREATE INDEX CONCURRENTLY entries_words ON entries (words);

`step` is a transaction. `step: blocks <table>` is one statement that goes through the table, a transaction for each batch of
blocks; `{blocks}` stands for the condition that selects them. It does not see rows that the service writes meanwhile: a default
or a trigger of an earlier step takes care of those. `step: concurrently` is one statement that cannot run in a transaction and
blocks no reader or writer.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

_HEADER = "-- hubbub: steps"
_MARKER = re.compile(r"^-- step(?:: (\w+)(?: (\w+))?)?[ \t]*$", re.MULTILINE)
_BLOCKS = "{blocks}"
_COMMENT = re.compile(r"--[^\n]*")
_INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (\w+) ON ")
_CONCURRENTLY = re.compile(r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY \w+ ON |DROP INDEX CONCURRENTLY IF EXISTS ")


class StepError(ValueError):
    """The steps of a file cannot be read."""


class Kind(StrEnum):
    """How a step runs."""

    ONCE = ""
    BLOCKS = "blocks"
    CONCURRENTLY = "concurrently"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a file."""

    kind: Kind
    table: str
    """Whose blocks the step goes through; empty for other kinds."""
    sql: str

    @property
    def digest(self) -> str:
        """The hash by which a changed step is noticed."""
        return hashlib.sha256(f"{self.kind} {self.table}\n{self.sql}".encode()).hexdigest()

    @property
    def index(self) -> str:
        """The name of the index that it creates; empty for other statements."""
        found = _INDEX.search(self.sql)
        return found[1] if found else ""

    def of_blocks(self, first: int, end: int) -> str:
        """The statement for the blocks from `first` up to, and without, `end`."""
        return self.sql.replace(_BLOCKS, f"ctid >= '({first},0)' AND ctid < '({end},0)'")


def steps(sql: str) -> list[Step]:
    """The steps of a file; empty for a file that is one transaction. Raises `StepError`."""
    if not sql.startswith(_HEADER + "\n"):
        if _HEADER in sql or _MARKER.search(sql):
            raise StepError(f"The first line of a file with steps is {_HEADER!r}")
        return []
    before, *parts = _MARKER.split(sql.removeprefix(_HEADER))
    if _COMMENT.sub("", before).strip() or not parts:
        raise StepError("A file with steps begins with one")
    return [_step(kind or "", table or "", text) for kind, table, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)]


def _step(kind: str, table: str, text: str) -> Step:
    if kind not in set(Kind) or (kind == Kind.BLOCKS) != bool(table):
        raise StepError(f"Unknown kind of step: {kind}")
    statements = _COMMENT.sub("", text).strip()
    if not statements:
        raise StepError("A step is empty")
    step = Step(Kind(kind), table, text.strip())
    if step.kind is not Kind.ONCE and ";" in statements.rstrip(";"):
        raise StepError(f"A step of the kind {kind} is one statement")
    if (step.kind is Kind.BLOCKS) != (_BLOCKS in statements):
        raise StepError(f"A step of the kind blocks has {_BLOCKS}, and no other")
    if step.kind is Kind.CONCURRENTLY and not _CONCURRENTLY.match(statements):
        raise StepError("A concurrent step is CREATE INDEX CONCURRENTLY name ON or DROP INDEX CONCURRENTLY IF EXISTS")
    return step
