"""Read positions. They make no entry and take no number, so their channels are not locked.

Up to `NAMED_MEMBERS` members, each position that moved is a receipt for all members. Beyond that, the readers of the newest
message are counted in the table `seen`. A position passes the message once, so a repeated command adds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from chassis.pipeline import Query, Rows, Statement
from chassis.rooms import NAMED_MEMBERS
from messages.commands.model import Command, Read
from messages.message import Reads, Receipt, UserId

# Each (channel, actor) at most once. A position moves forward only, up to the channel's head. Answers the positions that moved.
_MOVE = Statement(f"""
WITH moved AS (
  UPDATE members SET read_seq = LEAST(r.seq, ch.head)
  FROM json_to_recordset(%(reads)s::json) AS r(tenant text, channel uuid, actor text, seq bigint)
  JOIN LATERAL (SELECT * FROM channels WHERE channels.id = r.channel OFFSET 0) ch ON ch.tenant = r.tenant
  WHERE members.channel = r.channel AND members."user" = r.actor AND members.read_seq < LEAST(r.seq, ch.head)
  RETURNING members.channel, members."user", members.tenant, new.read_seq, ch.last_post, ch.members > {NAMED_MEMBERS} AS large,
    old.read_seq < ch.last_post AND new.read_seq >= ch.last_post AS passed
),
counted AS (
  INSERT INTO seen AS s (channel, tenant, seq, readers)
  SELECT channel, min(tenant), last_post, count(*) FILTER (WHERE passed) FROM moved
  WHERE large AND last_post > 0 GROUP BY channel, last_post ORDER BY channel
  ON CONFLICT (channel) DO UPDATE SET seq = GREATEST(s.seq, excluded.seq),
    readers = CASE WHEN s.seq < excluded.seq THEN excluded.readers WHEN s.seq = excluded.seq THEN s.readers + excluded.readers
      ELSE s.readers END
  RETURNING channel, seq, readers
)
SELECT moved.channel, moved."user", moved.read_seq, moved.large, counted.seq, counted.readers, newest.actor
FROM moved LEFT JOIN counted ON counted.channel = moved.channel
LEFT JOIN LATERAL (
  SELECT actor FROM entries WHERE entries.channel = counted.channel AND entries.seq = counted.seq OFFSET 0) newest ON true
""")

Furthest = Mapping[tuple[str, str], tuple[int, Command]]
"""For each (channel, actor): the furthest position and the command that names it."""


class Moved(msgspec.Struct, frozen=True):
    """The positions that moved: those of small channels, and those of large ones by channel."""

    receipts: list[Receipt]
    reads: list[Reads]


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
    """Move read positions. Read the rows with `moved`."""
    rows = [
        {"tenant": command.tenant, "channel": command.channel, "actor": command.actor, "seq": seq}
        for seq, command in reads.values()
    ]
    return _MOVE.query({"reads": msgspec.json.encode(rows)})


def moved(reads: Furthest, rows: Rows) -> Moved:
    """The positions that moved."""
    found = Moved([], [])
    large: dict[str, Reads] = {}
    for channel, user, read_seq, is_large, newest, seen, author in rows:
        _, command = reads[channel, user]
        receipt = Receipt(command.tenant, command.channel, command.actor, read_seq, command.id)
        if not is_large:
            found.receipts.append(receipt)
            continue
        if channel not in large:
            large[channel] = Reads(command.channel, newest or 0, UserId(author or ""), seen or 0, [])
        large[channel].receipts.append(receipt)
    found.reads.extend(large.values())
    return found
