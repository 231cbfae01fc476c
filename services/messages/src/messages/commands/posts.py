"""Posts. `_STORE` judges, numbers and stores them: the only place where a message gets its number.

Numbers follow the channel's `head` without a gap, in the order of the batch; a refused post takes none. The channel is locked
(see `batch`), so no other transaction can take the same number.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from chassis.pipeline import Query, Statement
from messages.commands.fingerprint import digest, fingerprint
from messages.commands.judgement import (
    FLOOR,
    JOINABLE,
    LOOKUPS,
    NEXT_WORDS_AT,
    NOW,
    SILENCED_OR_BLOCKED,
    SLOW_MODE_APPLIES,
    VISIBILITY,
    Answer,
    permitted,
    role_may,
)
from messages.commands.model import Command, Post
from messages.ids import message_ids
from messages.message import NO_DETAILS, CommandId, Details, Entry, EntryKind, MessageId
from messages.policy import Action
from messages.queries.epoch import EPOCH

# Mentions of users who have blocked the author are left out.
_DETAILS = (
    "CASE WHEN cmd.details ? 'mentions' THEN without_blocked_mentions(cmd.details, cmd.tenant, cmd.actor) ELSE cmd.details END"
)

# A statement does not see its own inserts. So no two of its posts may share (channel, actor, key), and slow mode also looks at
# the author's earlier posts in the same statement (`paced`).
_STORE = Statement(f"""
WITH judged AS MATERIALIZED ( -- otherwise each use of the verdict would judge again
  SELECT cmd.*, cmd.ordinality AS n, ch.head, ch.posts, ch.roster, {NOW} AS now,
    prior.seq AS prior_seq, prior.message AS prior_message,
    {SLOW_MODE_APPLIES} AS slow, ch.slow_mode_seconds, {NEXT_WORDS_AT} AS next_post_at, {_DETAILS} AS kept,
    CASE ch.history WHEN 'joined' THEN root.seq END AS about,
    CASE
      WHEN prior.command = cmd.id THEN 'again'
      {VISIBILITY}
      WHEN prior.digest = cmd.digest THEN 'duplicate'
      WHEN prior.seq IS NOT NULL THEN 'KEY_REUSED'
      WHEN NOT {role_may("may_post")} THEN 'NOT_ALLOWED'
      {SILENCED_OR_BLOCKED}
      WHEN cmd.thread IS NOT NULL AND (root.seq > {FLOOR}) IS NOT TRUE THEN 'NOT_FOUND'
      ELSE 'fresh'
    END AS judgement
  FROM ROWS FROM (json_to_recordset(%(posts)s::json) AS (
    tenant text, channel uuid, actor text, key text, fingerprint uuid, id text, issued float8,
    digest bigint, message uuid, thread uuid, text text, sealed text, details jsonb)) WITH ORDINALITY AS cmd
  {LOOKUPS}
  LEFT JOIN LATERAL ( -- finds nothing for the NULL of a post outside a thread
    SELECT seq FROM entries WHERE entries.channel = cmd.channel AND entries.message = cmd.thread AND entries.kind = 1
    OFFSET 0) root ON true
),
paced AS NOT MATERIALIZED ( -- in slow mode, only the first accepted post of each author
  SELECT *, CASE
      WHEN judgement = 'fresh' AND slow AND (next_post_at > now OR EXISTS (
        SELECT FROM judged earlier WHERE earlier.channel = judged.channel AND earlier.actor = judged.actor
          AND earlier.n < judged.n AND earlier.judgement = 'fresh')) THEN 'SLOW_MODE'
      ELSE judgement
    END AS verdict
  FROM judged
),
numbered AS MATERIALIZED (
  SELECT *, head + count(*) FILTER (WHERE verdict = 'fresh')
    OVER (PARTITION BY channel ORDER BY n ROWS UNBOUNDED PRECEDING) AS seq
  FROM paced
),
fresh AS NOT MATERIALIZED (SELECT * FROM numbered WHERE verdict = 'fresh'),
logged AS (
  INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, key, command, message, thread, about, text, sealed, details)
  SELECT channel, seq, posts + seq - head, tenant, 1, actor, now, key, id, message, thread, about, text,
    decode(sealed, 'base64'), kept
  FROM fresh
),
remembered AS (
  INSERT INTO keys (channel, fingerprint, seq, message, digest) SELECT channel, fingerprint, seq, message, digest FROM fresh
),
attached AS (
  INSERT INTO carried (channel, upload, tenant, seq, message) SELECT channel, attachment->>'id', tenant, seq, message
  FROM fresh, jsonb_array_elements(kept->'attachments') AS attachment WHERE kept ? 'attachments'
),
mentioned AS (
  INSERT INTO mentions (tenant, "user", message, channel, seq) SELECT tenant, mention, message, channel, seq
  FROM fresh, jsonb_array_elements_text(kept->'mentions') AS mention,
    LATERAL (SELECT FROM members WHERE members.channel = fresh.channel AND members."user" = mention OFFSET 0) member
  WHERE kept ? 'mentions' ON CONFLICT DO NOTHING
),
ranges AS MATERIALIZED (SELECT channel, min(seq) AS first, max(seq) AS last, max(now) AS at FROM fresh GROUP BY channel),
advanced AS (
  UPDATE channels SET head = last, posts = posts + last - head, last_post = last, active_at = at
  FROM ranges WHERE channels.id = ranges.channel
),
read AS ( -- an author has read their own post
  UPDATE members SET read_seq = latest.seq, last_posted_at = latest.at
  FROM (SELECT channel, actor, max(seq) AS seq, max(now) AS at FROM fresh GROUP BY channel, actor) latest
  WHERE members.channel = latest.channel AND members."user" = latest.actor
),
outbox AS (
  INSERT INTO unpublished (channels, firsts, lasts) SELECT array_agg(channel), array_agg(first), array_agg(last) FROM ranges
  HAVING count(*) > 0 RETURNING id
)
SELECT n, verdict,
  CASE verdict WHEN 'fresh' THEN seq ELSE prior_seq END AS seq,
  CASE verdict WHEN 'fresh' THEN message ELSE prior_message END AS message,
  CASE WHEN verdict <> 'fresh' THEN COALESCE(
    (SELECT prior.at FROM entries prior WHERE prior.channel = numbered.channel AND prior.seq = prior_seq),
    uuid_extract_timestamp(prior_message)) END AS at,
  CASE verdict WHEN 'SLOW_MODE' THEN
    CASE WHEN next_post_at > now THEN EXTRACT(epoch FROM next_post_at - now)::float8 ELSE slow_mode_seconds END END AS wait,
  about, CASE WHEN kept <> details THEN kept::text END AS details,
  CASE n WHEN 1 THEN (SELECT id FROM outbox) END AS unpublished, NULLIF(roster, 0), CASE n WHEN 1 THEN now END AS now,
  CASE n WHEN 1 THEN {EPOCH} END AS epoch
FROM numbered
""")

_ENCODER = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(Details).decode


class _Row(msgspec.Struct, gc=False, omit_defaults=True):
    """A post as `_STORE` reads it. Omitted fields are NULL."""

    tenant: str
    channel: str
    actor: str
    key: str
    fingerprint: str
    digest: int
    message: MessageId
    text: str | None = None
    sealed: bytes | None = None
    id: CommandId | None = None
    issued: float | None = None
    thread: MessageId | None = None
    details: Details | None = None


def query(run: Sequence[Command]) -> Query:
    """Store posts, no two of which share (channel, actor, key). Read the rows with `judgement.answers`."""
    rows = []
    for command, message in zip(run, message_ids(len(run)), strict=True):
        post = _post(command)
        rows.append(_Row(
            command.tenant, command.channel, command.actor, command.key, fingerprint(command.actor, command.key), _digest(post),
            message, post.text, post.sealed, command.id or None, command.token_issued_at or None, post.thread, _details(post),
        ))  # fmt: skip
    return _STORE.query(
        {
            "posts": _ENCODER.encode(rows),
            "joinable": JOINABLE,
            "may_post": permitted(Action.POST),
            "exempt_from_slow_mode": permitted(Action.SKIP_SLOW_MODE),
        }
    )


def entry(command: Command, answer: Answer) -> Entry:
    """The entry that a post made."""
    if answer.seq is None:
        raise AssertionError(answer)
    post = _post(command)
    details = (_decode(answer.details) if answer.details else _details(post)) or NO_DETAILS
    return Entry(
        command.channel, answer.seq, command.tenant, EntryKind.MESSAGE_POSTED, command.actor, answer.at, command.key, command.id,
        answer.message, post.text, post.sealed, details, answer.about or 0, answer.epoch, answer.roster,
    )  # fmt: skip


def _post(command: Command) -> Post:
    post = command.body
    assert isinstance(post, Post)  # noqa: S101 - `batch` selects by type
    return post


def _details(post: Post) -> Details | None:
    """The details of the entry; None when there are none."""
    if post.thread or post.attachments or post.mentions or post.blocks:
        return Details(thread=post.thread, attachments=post.attachments, mentions=post.mentions, blocks=post.blocks)
    return None


def _digest(post: Post) -> int:
    """A hash of the content. It holds after the message was deleted, too."""
    content: tuple[object, ...] = (post.text, post.sealed, post.thread, [each.id for each in post.attachments], post.mentions)
    if post.blocks:
        content = (*content, post.blocks)
    return digest(_ENCODER.encode(content))
