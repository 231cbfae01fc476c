"""SQL of the erasure of users. The walks go through a table by ranges of blocks: no index leads from a user to their entries."""

REQUEST = """
INSERT INTO erasures (tenant, "user", requester) VALUES (%(tenant)s, %(user)s, %(requester)s) ON CONFLICT DO NOTHING
"""

# The name goes at once; the row, with its id, when the rest is done.
HIDE = """
UPDATE users SET name = %(name)s, blocked = true WHERE tenant = %(tenant)s AND id = %(user)s
"""

WAITING = """
SELECT tenant, "user", requester, pseudonym FROM erasures ORDER BY at
"""

CHANNELS = """
SELECT channel FROM members WHERE tenant = %(tenant)s AND "user" = %(user)s ORDER BY channel LIMIT 100
"""

# A direct channel is found by its pair of users, which this one is no longer.
LEAVE_DIRECT = """
UPDATE channels SET direct_key = (
  SELECT json_agg(CASE each WHEN %(user)s THEN %(pseudonym)s ELSE each END)::text
  FROM json_array_elements_text(direct_key::json) AS each)
WHERE id = %(channel)s AND tenant = %(tenant)s AND direct_key IS NOT NULL
"""

BLOCKS = """
SELECT pg_relation_size(%(table)s::text::regclass) / current_setting('block_size')::int
"""
_RANGE = "ctid >= format('(%%s,0)', %(first)s::bigint)::tid AND ctid < format('(%%s,0)', %(end)s::bigint)::tid"

# Replaces the user by the pseudonym, and erases what they wrote: their messages are deleted, without a further entry.
ENTRIES = f"""
WITH rewritten AS (
  UPDATE entries SET
    actor = CASE actor WHEN %(user)s THEN %(pseudonym)s ELSE actor END,
    text = CASE actor WHEN %(user)s THEN NULL ELSE text END,
    sealed = CASE actor WHEN %(user)s THEN NULL ELSE sealed END,
    details = CASE
      WHEN actor = %(user)s AND kind = 1 THEN details - '{{attachments,mentions,blocks}}'::text[]
      WHEN actor = %(user)s AND kind = 2 THEN NULL
      WHEN details->>'user' = %(user)s THEN jsonb_set(details, '{{user}}', to_jsonb(%(pseudonym)s::text))
      WHEN details->'mentions' ? %(user)s THEN jsonb_set(details, '{{mentions}}', (details->'mentions') - %(user)s::text)
      ELSE details END
  WHERE {_RANGE} AND tenant = %(tenant)s
    AND (actor = %(user)s OR details->>'user' = %(user)s OR details->'mentions' ? %(user)s)
  RETURNING entries.channel, entries.message, entries.seq, entries.tenant, entries.kind, old.actor
), own AS (
  SELECT * FROM rewritten WHERE kind = 1 AND actor = %(user)s
), deleted AS (
  INSERT INTO changes (channel, message, seq, tenant, deleted_seq) SELECT channel, message, seq, tenant, seq FROM own
  ON CONFLICT (channel, message) DO UPDATE SET text = NULL, sealed = NULL, blocks = NULL,
    deleted_seq = COALESCE(changes.deleted_seq, excluded.deleted_seq)
)
SELECT count(*) FROM rewritten
"""

REACTIONS = f"""
WITH rewritten AS (
  UPDATE reactions SET "user" = %(pseudonym)s WHERE {_RANGE} AND tenant = %(tenant)s AND "user" = %(user)s RETURNING 1
)
SELECT count(*) FROM rewritten
"""

_DELETED = {
    "bot_tokens": "bot",
    "bots": "id",
    "invitations": '"user"',
    "departures": '"user"',
    "additions": '"user"',
    "bans": '"user"',
    "silences": '"user"',
    "browser_sessions": '"user"',
    "mentions": '"user"',
    "blocks": '"user", blocked',
}
"""Rows that concern the user alone, by the columns that name the user."""
_RENAMED = {
    "bans": "moderator",
    "silences": "moderator",
    "invitations": "inviter",
    "reports": "reporter",
    "bots": "creator",
    "bot_tokens": "creator",
    "roster_changes": '"user"',
}
"""Acts of the user that still hold."""
REST = [
    *(f"DELETE FROM {table} WHERE tenant = %(tenant)s AND %(user)s IN ({columns})" for table, columns in _DELETED.items()),
    *(f"UPDATE {table} SET {column} = %(pseudonym)s WHERE tenant = %(tenant)s AND {column} = %(user)s"
      for table, column in _RENAMED.items()),
    "UPDATE reports SET sender = %(pseudonym)s, text = NULL WHERE tenant = %(tenant)s AND sender = %(user)s",
    "UPDATE erasures SET requester = %(pseudonym)s WHERE tenant = %(tenant)s AND requester = %(user)s",
    'DELETE FROM erasures WHERE tenant = %(tenant)s AND "user" = %(user)s',
    "DELETE FROM users WHERE tenant = %(tenant)s AND id = %(user)s",
    "INSERT INTO users (tenant, id, name, blocked) VALUES (%(tenant)s, %(pseudonym)s, %(name)s, true) ON CONFLICT DO NOTHING",
]  # fmt: skip

FORGET = """
SELECT audit_erase(%(tenant)s, %(requester)s, %(user)s)
"""
