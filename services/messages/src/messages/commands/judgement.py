"""The rules by which PostgreSQL accepts or refuses a command: SQL fragments for `posts` and `changes`, and the rows they answer.

A statement names each command `cmd` (tenant, channel, actor, fingerprint, id, issued) and joins `LOOKUPS` to it.
Its verdict is a CASE over the fragments, in this order: redelivery, `VISIBILITY`, the key, the role, `SILENCED_OR_BLOCKED`, and
the command's own rules.

An earlier statement of the same transaction has locked the channels of the batch. So each statement sees every removal, ban and
number that was committed before, and nothing about these channels changes until the transaction ends.

Which roles may do what comes in as parameters from `policy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter

import msgspec

from chassis.pipeline import Rows, Value, encoded
from messages import policy
from messages.message import MessageId
from messages.policy import Action

PLANNER_SETTINGS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
"""For connections that run the statements of this package, and only for these.

Each statement looks up single rows, and keeps its plan as long as its connection. The first plan may be made while the tables are
empty, when every plan looks equally good. These settings leave index lookups as the only choice.
"""

# Each subselect looks up at most one row. `OFFSET 0` keeps the planner from merging it and choosing another index.
LOOKUPS = """
  LEFT JOIN LATERAL (SELECT * FROM channels WHERE channels.id = cmd.channel OFFSET 0) ch ON ch.tenant = cmd.tenant
  LEFT JOIN LATERAL (
    SELECT blocked, revoked_before FROM users
    WHERE users.tenant = cmd.tenant AND users.id = cmd.actor AND (blocked OR revoked_before IS NOT NULL) OFFSET 0) author ON true
  LEFT JOIN LATERAL (
    SELECT * FROM members WHERE members.channel = ch.id AND members."user" = cmd.actor OFFSET 0) member ON true
  LEFT JOIN LATERAL (
    SELECT *, (SELECT command FROM entries WHERE entries.channel = keys.channel AND entries.seq = keys.seq) AS command
    FROM keys WHERE keys.channel = ch.id AND keys.fingerprint = cmd.fingerprint OFFSET 0) prior ON true
"""

# To a user who is not a member, a channel does not exist unless its kind is joinable.
VISIBILITY = """
      WHEN ch.id IS NULL THEN 'NOT_FOUND'
      WHEN author.blocked OR cmd.issued > 0 AND EXTRACT(epoch FROM author.revoked_before) > cmd.issued THEN 'NOT_AUTHENTICATED'
      WHEN member.role IS NULL AND ch.kind <> ALL(%(joinable)s) THEN 'NOT_FOUND'
      WHEN member.role IS NULL AND is_banned(cmd.channel, cmd.actor) THEN 'NOT_ALLOWED'
      WHEN member.role IS NULL THEN 'NOT_A_MEMBER'
"""

# A moderator has silenced the author, or the other user of a direct channel has blocked them. `OFFSET 0` keeps the planner from
# reading all of `blocks` into a hash table.
SILENCED_OR_BLOCKED = """
      WHEN member.silenced_until > now() THEN 'NOT_ALLOWED'
      WHEN ch.kind = 'direct' AND EXISTS (SELECT FROM blocks b WHERE b.tenant = cmd.tenant AND b.blocked = cmd.actor OFFSET 0)
        AND is_blocked(ch.id, cmd.tenant, cmd.actor) THEN 'NOT_ALLOWED'
"""

# The member sees entries numbered above this.
FLOOR = "CASE ch.history WHEN 'joined' THEN member.joined_seq - 1 ELSE 0 END"

# The time of all entries of a statement. It is taken after the locks were granted, so it never precedes a former entry's.
NOW = "date_trunc('milliseconds', statement_timestamp())"

JOINABLE = encoded([kind.value for kind in policy.JOINABLE])
_PERMITTED = {action: encoded(policy.permitted(action)) for action in Action}
_FIRST = itemgetter(0)


def permitted(action: Action) -> Value:
    """The parameter that lists every `kind/role` which may do `action`."""
    return _PERMITTED[action]


def role_may(parameter: str) -> str:
    """The condition that the member's role in a channel of this kind is in a `permitted` parameter."""
    return f"ch.kind || '/' || member.role = ANY(%({parameter})s)"


SLOW_MODE_APPLIES = f"ch.slow_mode_seconds > 0 AND NOT {role_may('exempt_from_slow_mode')}"
NEXT_WORDS_AT = "member.last_posted_at + make_interval(secs => ch.slow_mode_seconds)"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What became of one command."""

    verdict: str
    """A `Verdict`, or the reason for which nothing was stored."""
    seq: int | None
    message: MessageId | None
    """Of the entry that the command made, now (`fresh`) or before (`again`, `duplicate`)."""
    at: datetime
    """When that entry was made; now for a refused command."""
    wait: float | None
    """Seconds until the command may be repeated (SLOW_MODE)."""
    about: int | None
    """`Entry.about`."""
    details: str | None
    """The details that were stored, as JSON; None when they are those of the command."""
    unpublished: int | None
    """The row of `unpublished` that covers the statement's new entries. Only in a statement's first answer."""
    roster: int
    """`Entry.roster`."""
    epoch: str
    """The store's epoch in the statement."""


def answers(rows: Rows) -> Sequence[Answer]:
    """Read rows of (n, verdict, seq, message, at, wait, about, details, unpublished, roster, now, epoch), in the order of `n`.

    `at` is NULL for new entries: they share `now`, which only the first row has, like the epoch.
    """
    rows.sort(key=_FIRST)
    now, epoch = rows[0][-2:]
    return [
        Answer(verdict, seq, message, at or now, wait, about, details, unpublished, roster or 0, epoch)
        for _, verdict, seq, message, at, wait, about, details, unpublished, roster, _, _ in rows
    ]  # fmt: skip
