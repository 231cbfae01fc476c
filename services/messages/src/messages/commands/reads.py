"""Read positions. They make no entry and take no number, so their channels are not locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from chassis.pipeline import Query, Rows, Statement
from messages.commands.model import Command, Read
from messages.message import Receipt

# Each (channel, actor) at most once. A position moves forward only, up to the channel's head. Answers the positions that moved.
_MOVE = Statement("""
UPDATE members SET read_seq = LEAST(r.seq, ch.head)
FROM json_to_recordset(%(reads)s::json) AS r(tenant text, channel uuid, actor text, seq bigint)
JOIN LATERAL (SELECT * FROM channels WHERE channels.id = r.channel OFFSET 0) ch ON ch.tenant = r.tenant
WHERE members.channel = r.channel AND members."user" = r.actor AND members.read_seq < LEAST(r.seq, ch.head)
RETURNING members.channel, members."user", members.read_seq
""")

Furthest = Mapping[tuple[str, str], tuple[int, Command]]
"""For each (channel, actor): the furthest position and the command that names it."""


def furthest(batch: Sequence[Command]) -> Furthest:
    """The reads of a batch, combined."""
    found: dict[tuple[str, str], tuple[int, Command]] = {}
    for command in batch:
        if isinstance(command.body, Read):
            place = (command.channel, command.actor)
            if place not in found or command.body.seq >= found[place][0]:
                found[place] = (command.body.seq, command)
    return found


def query(reads: Furthest) -> Query:
    """Move read positions. Read the rows with `receipts`."""
    rows = [
        {"tenant": command.tenant, "channel": command.channel, "actor": command.actor, "seq": seq}
        for seq, command in reads.values()
    ]
    return _MOVE.query({"reads": msgspec.json.encode(rows)})


def receipts(reads: Furthest, rows: Rows) -> list[Receipt]:
    """The positions that moved."""
    found = []
    for channel, user, read_seq in rows:
        _, command = reads[channel, user]
        found.append(Receipt(command.tenant, command.channel, command.actor, read_seq, command.id))
    return found
