"""Edits, deletions, reactions and pins: one statement each, for one command.

A change appends an entry to the log and updates the current state of its message: the tables `changes` and `reactions`.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from chassis.pipeline import Query, Statement, Value, bytea
from messages import audit
from messages.commands.fingerprint import fingerprint
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
from messages.commands.model import Command, Delete, Edit, Pin, Post, React, Read
from messages.limits import DEFAULT_LIMITS, Limits
from messages.message import NO_DETAILS, Details, Entry, EntryKind
from messages.policy import Action
from messages.queries.epoch import EPOCH


def _statement(
    judgement: str, effect: str, *, join: str = "", repeated: str = "NULL::bigint", wait: str = "NULL::float8"
) -> Statement:
    """`judgement` adds branches to the verdict's CASE; `effect` is a CTE; `repeated` is the entry with the same effect.

    `wait` is the number of seconds until slow mode permits the change.
    """
    return Statement(f"""
WITH cmd AS NOT MATERIALIZED (
  SELECT %(tenant)s::text AS tenant, %(channel)s::uuid AS channel, %(actor)s::text AS actor, %(fingerprint)s::uuid AS fingerprint,
    %(id)s::text AS id, %(message)s::uuid AS message, %(issued)s::float8 AS issued
),
target AS (
  SELECT cmd.*, ch.head, ch.posts, ch.roster, prior.seq AS prior_seq, msg.seq AS posted_seq, {repeated} AS repeated_seq,
    {NOW} AS now,
    CASE ch.history WHEN 'joined' THEN msg.seq END AS about, {wait} AS wait,
    CASE
      WHEN prior.command = cmd.id THEN 'again'
      {VISIBILITY}
      WHEN prior.seq IS NOT NULL THEN 'KEY_REUSED'
      WHEN msg.id IS NULL THEN 'NOT_FOUND'
      {judgement}
      ELSE 'fresh'
    END AS verdict
  FROM cmd
  {LOOKUPS}
  LEFT JOIN LATERAL (SELECT * FROM messages WHERE messages.channel = ch.id AND messages.id = cmd.message OFFSET 0) msg
    ON msg.seq > {FLOOR}
  {join}
),
judged AS MATERIALIZED (
  SELECT *, CASE verdict WHEN 'fresh' THEN head + 1 WHEN 'again' THEN prior_seq WHEN 'duplicate' THEN repeated_seq END AS seq
  FROM target
),
fresh AS (SELECT * FROM judged WHERE verdict = 'fresh'),
logged AS (
  INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, command, message, about, text, sealed, details)
  SELECT channel, seq, posts, tenant, %(kind)s, actor, now, id, message, about, %(text)s, %(sealed)s, %(details)s::jsonb
  FROM fresh
),
remembered AS (
  INSERT INTO keys (channel, fingerprint, seq, message)
  SELECT channel, fingerprint, seq, message FROM fresh WHERE fingerprint IS NOT NULL
),
advanced AS (UPDATE channels SET head = fresh.seq, active_at = fresh.now FROM fresh WHERE channels.id = fresh.channel),
outbox AS (
  INSERT INTO unpublished (channels, firsts, lasts) SELECT ARRAY[channel], ARRAY[seq], ARRAY[seq] FROM fresh RETURNING id
),
{effect}
SELECT 1 AS n, verdict, seq, message,
  CASE WHEN verdict <> 'fresh' THEN (
    SELECT first.at FROM entries first WHERE first.channel = judged.channel AND first.seq = judged.seq) END AS at,
  CASE verdict WHEN 'SLOW_MODE' THEN wait END AS wait, about, NULL::text AS details,
  (SELECT id FROM outbox) AS unpublished, roster, now, {EPOCH} AS epoch
FROM judged
""")


_EDIT = _statement(
    f"""
      WHEN msg.sender <> cmd.actor OR NOT {role_may("allowed")} THEN 'NOT_ALLOWED'
      {SILENCED_OR_BLOCKED}
      WHEN msg.deleted_seq IS NOT NULL THEN 'CONFLICT'
      WHEN {SLOW_MODE_APPLIES} AND {NEXT_WORDS_AT} > {NOW} THEN 'SLOW_MODE'
""",
    """edited AS (
  INSERT INTO changes (channel, message, seq, tenant, text, sealed, blocks, edited_at)
  SELECT channel, message, posted_seq, tenant, %(text)s, %(sealed)s, %(details)s::jsonb->'blocks', now FROM fresh
  ON CONFLICT (channel, message) DO UPDATE
  SET text = excluded.text, sealed = excluded.sealed, blocks = excluded.blocks, edited_at = excluded.edited_at
),
spoke AS (
  UPDATE members SET last_posted_at = fresh.now FROM fresh
  WHERE members.channel = fresh.channel AND members."user" = fresh.actor
)""",
    wait=f"EXTRACT(epoch FROM {NEXT_WORDS_AT} - {NOW})::float8",
)

# Erases the content from the entries of the post and its edits, in the same transaction; the entries stay. Deleting
# another user's message is recorded in the audit log.
_DELETE = _statement(
    f"""
      WHEN msg.sender <> cmd.actor AND NOT {role_may("allowed_others")} THEN 'NOT_ALLOWED'
      WHEN msg.sender = cmd.actor AND NOT {role_may("allowed")} THEN 'NOT_ALLOWED'
      WHEN msg.deleted_seq IS NOT NULL THEN 'duplicate'
""",
    """deleted AS (
  INSERT INTO changes (channel, message, seq, tenant, deleted_seq)
  SELECT channel, message, posted_seq, tenant, seq FROM fresh
  ON CONFLICT (channel, message) DO UPDATE SET text = NULL, sealed = NULL, blocks = NULL, deleted_seq = excluded.deleted_seq
),
erased_post AS (
  UPDATE entries SET text = NULL, sealed = NULL, details = details - '{attachments,mentions,blocks}'::text[]
  FROM fresh WHERE entries.channel = fresh.channel AND entries.seq = fresh.posted_seq
  RETURNING CASE WHEN entries.actor <> fresh.actor THEN audit_append(
    fresh.tenant, fresh.actor, 'message.deleted', fresh.channel, entries.actor,
    json_strip_nulls(json_build_object('message', fresh.message, 'seq', fresh.seq, 'via', %(via)s::text))::text) END
),
erased_edits AS (
  UPDATE entries SET text = NULL, sealed = NULL, details = NULL
  WHERE channel = %(channel)s AND message = %(message)s AND kind = 2 AND EXISTS (SELECT FROM fresh)
)""",
    repeated="msg.deleted_seq",
)

_REACT = _statement(
    f"""
      WHEN NOT {role_may("allowed")} THEN 'NOT_ALLOWED'
      {SILENCED_OR_BLOCKED}
      WHEN msg.deleted_seq IS NOT NULL THEN 'CONFLICT'
      WHEN reaction.active <> %(remove)s THEN 'duplicate'
      WHEN reaction.seq IS NULL AND %(remove)s THEN 'CONFLICT'
      WHEN NOT %(remove)s AND (own.active >= %(most_of_user)s OR own.ever >= 5 * %(most_of_user)s) THEN 'CONFLICT'
      WHEN NOT %(remove)s AND same.emoji IS NULL
        AND distinct_emoji(cmd.channel, cmd.message, %(most)s) >= %(most)s THEN 'CONFLICT'
""",
    """reacted AS (
  INSERT INTO reactions (channel, message, emoji, "user", tenant, active, seq)
  SELECT channel, message, %(emoji)s, actor, tenant, NOT %(remove)s, seq FROM fresh
  ON CONFLICT (channel, message, emoji, "user") DO UPDATE SET active = excluded.active, seq = excluded.seq
)""",
    join="""LEFT JOIN reactions reaction ON reaction.channel = msg.channel AND reaction.message = msg.id
    AND reaction.emoji = %(emoji)s AND reaction."user" = cmd.actor
  LEFT JOIN LATERAL (SELECT count(*) FILTER (WHERE active) AS active, count(*) AS ever FROM reactions
    WHERE channel = msg.channel AND message = msg.id AND "user" = cmd.actor OFFSET 0) own ON true
  LEFT JOIN LATERAL (SELECT emoji FROM reactions
    WHERE channel = msg.channel AND message = msg.id AND emoji = %(emoji)s AND active LIMIT 1) same ON true""",
    repeated="reaction.seq",
)

_PIN = _statement(
    f"""
      WHEN NOT {role_may("allowed")} THEN 'NOT_ALLOWED'
      {SILENCED_OR_BLOCKED}
      WHEN msg.deleted_seq IS NOT NULL THEN 'CONFLICT'
      WHEN msg.pinned <> %(remove)s AND msg.pin_seq IS NOT NULL THEN 'duplicate'
      WHEN %(remove)s AND NOT msg.pinned THEN 'CONFLICT'
      WHEN NOT %(remove)s AND (SELECT count(*) FROM changes pins WHERE pins.channel = cmd.channel AND pins.pinned) >= %(most)s
        THEN 'CONFLICT'
""",
    """pinned AS (
  INSERT INTO changes (channel, message, seq, tenant, pinned, pin_seq)
  SELECT channel, message, posted_seq, tenant, NOT %(remove)s, seq FROM fresh
  ON CONFLICT (channel, message) DO UPDATE SET pinned = excluded.pinned, pin_seq = excluded.pin_seq
)""",
    repeated="msg.pin_seq",
)


def query(command: Command, limits: Limits = DEFAULT_LIMITS) -> Query:
    """Store one change. Read the row with `judgement.answers`."""
    body = command.body
    parameters: dict[str, Value] = {
        "tenant": command.tenant,
        "channel": command.channel,
        "actor": command.actor,
        "fingerprint": fingerprint(command.actor, command.key) if command.key else None,
        "id": command.id or None,
        "issued": command.token_issued_at,
        "joinable": JOINABLE,
        "text": None,
        "sealed": None,
        "details": None,
    }
    match body:
        case Edit():
            statement, action = _EDIT, Action.EDIT_OWN
            parameters |= {
                "text": body.text,
                "sealed": bytea(body.sealed),
                "exempt_from_slow_mode": permitted(Action.SKIP_SLOW_MODE),
                "details": msgspec.json.encode(Details(blocks=body.blocks)) if body.blocks else None,
            }
        case Delete():
            statement, action = _DELETE, Action.DELETE_OWN
            parameters |= {"allowed_others": permitted(Action.DELETE_OTHERS), "via": audit.via()}
        case React():
            statement, action = _REACT, Action.REACT
            parameters |= {"emoji": body.emoji, "remove": body.remove, "details": msgspec.json.encode(Details(emoji=body.emoji))}
            parameters |= {"most": limits.reactions_per_message, "most_of_user": limits.reactions_per_user}
        case Pin():
            statement, action = _PIN, Action.PIN
            parameters |= {"remove": body.remove, "most": limits.pins_per_channel}
        case Post() | Read():
            raise AssertionError(body)
        case _:
            assert_never(body)
    parameters |= {"message": body.message, "kind": _kind(body).value, "allowed": permitted(action)}
    return statement.query(parameters)


def entry(command: Command, answer: Answer) -> Entry:
    """The entry that a change made."""
    body = command.body
    if answer.seq is None or isinstance(body, Post | Read):
        raise AssertionError(answer)
    details = NO_DETAILS
    if isinstance(body, React):
        details = Details(emoji=body.emoji)
    elif isinstance(body, Edit) and body.blocks:
        details = Details(blocks=body.blocks)
    return Entry(
        command.channel, answer.seq, command.tenant, _kind(body), command.actor, answer.at, None, command.id, answer.message,
        body.text if isinstance(body, Edit) else None, body.sealed if isinstance(body, Edit) else None, details,
        answer.about or 0, answer.epoch,
    )  # fmt: skip


def _kind(body: Edit | Delete | React | Pin) -> EntryKind:
    match body:
        case Edit():
            return EntryKind.MESSAGE_EDITED
        case Delete():
            return EntryKind.MESSAGE_DELETED
        case React():
            return EntryKind.REACTION_REMOVED if body.remove else EntryKind.REACTION_ADDED
        case Pin():
            return EntryKind.MESSAGE_UNPINNED if body.remove else EntryKind.MESSAGE_PINNED
        case _:
            assert_never(body)
