"""The statements that judge, number and store commands. `handlers` sends them in one pipeline, in one transaction.

Numbers need one decider for each channel at a time (`docs/adr/0004`, `0018`, `0020`). Either the channels of the batch are locked
first, so that every statement after it, with a fresh snapshot of its own, sees all that was committed before: a removal, a ban, a
number taken by somebody else. Or a run of posts goes without: it stores nothing, with SQLSTATE 40001, when the row of one of its
channels was written since it was judged. So whoever decides about a channel writes its row. Or the worker has numbered the posts,
and nothing is stored, with the same SQLSTATE, unless every channel still stands where it thinks and every author may post.

Each statement that judges answers one row for each command:

    verdict   fresh      an entry was made: seq and message are the new one's
              again      this very command was stored before (a redelivery): the stored entry's
              duplicate  its wish was fulfilled before (a repeat): the first entry's
              else       a reason of the client protocol, nothing was stored
    wait      seconds until it may be tried again (SLOW_MODE)
    noted     id of the row in `unpublished` that remembers the new entries until the bus has them
    now       the moment of all new entries. This and `noted` are told once, in the row of n = 0

Who may do what comes in as data from `policy`. The indexes: primary keys, `entries_key`, `entries_posted`, `entries_edits` and
`users_void`; a channel's row is written where it was read (its ctid).

A statement sets up all of its plan each time, whatever of it will run: that was a third of what a batch of one cost. So looks
that hardly any command causes are functions of the database (`is_banned`, `is_blocked`), which are set up when they are called:
ten times the cost of looking a row up by the statement's own plan.
"""

LOCK_CHANNELS = """
SELECT FROM channels WHERE id = ANY(%(channels)s::uuid[]) ORDER BY id FOR NO KEY UPDATE
"""

# A lock that leaves its trace, also where nothing is numbered: the row is a new one.
TAKE_CHANNEL = """
UPDATE channels SET head = head WHERE id = %(channel)s
"""

FORGET_PUBLISHED = """
DELETE FROM unpublished WHERE id IN (SELECT id FROM unpublished WHERE id = ANY(%(ids)s) FOR UPDATE SKIP LOCKED)
"""

# Who is no member learns NOT_FOUND, unless the channel is one that its tenant sees.
_VISIBILITY = """
    WHEN ch.id IS NULL THEN 'NOT_FOUND'
    WHEN void.blocked OR c.issued > 0 AND EXTRACT(epoch FROM void.revoked_before) > c.issued THEN 'NOT_AUTHENTICATED'
    WHEN mb.role IS NULL AND ch.kind <> ALL(%(joinable)s) THEN 'NOT_FOUND'
    WHEN mb.role IS NULL AND is_banned(c.channel, c.actor) THEN 'NOT_ALLOWED'
    WHEN mb.role IS NULL THEN 'NOT_A_MEMBER'
"""
# A moderator has silenced them, or the other person of a direct channel does not want to hear them.
_HUSHED = """
    WHEN mb.silenced_until > now() THEN 'NOT_ALLOWED'
    WHEN ch.kind = 'direct' AND EXISTS (SELECT FROM blocks b WHERE b.tenant = c.tenant AND b.blocked = c.actor)
      AND is_blocked(ch.id, c.tenant, c.actor) THEN 'NOT_ALLOWED'
"""
# What lies at or before this position is not shown to the member.
_FLOOR = "CASE ch.history WHEN 'joined' THEN mb.joined_seq ELSE 0 END"

# A plan lives as long as its connection, and the first one is made when the tables are empty and every index looks as good as any
# other. So these leave no choice: each row is looked up by itself, by what one index alone has (an order, for `entries_key`).
_COMMAND = """
  LEFT JOIN LATERAL (
    SELECT *, ctid AS place, xmin AS writer FROM channels WHERE channels.id = c.channel OFFSET 0) ch ON ch.tenant = c.tenant
  LEFT JOIN LATERAL (
    SELECT blocked, revoked_before FROM users
    WHERE users.tenant = c.tenant AND users.id = c.actor AND (blocked OR revoked_before IS NOT NULL) OFFSET 0) void ON true
  LEFT JOIN LATERAL (SELECT * FROM members WHERE members.channel = ch.id AND members."user" = c.actor OFFSET 0) mb ON true
  LEFT JOIN LATERAL (
    SELECT seq, message, at, digest, command FROM entries
    WHERE entries.channel = ch.id AND entries.actor = c.actor AND entries.key BETWEEN c.key AND c.key
    ORDER BY entries.key LIMIT 1) known ON true
"""

# What posts are judged by, one or many. `now` is the moment of the statement, and so after the locks were granted.
_NOW = "date_trunc('milliseconds', statement_timestamp())"
_FREE_AT = "mb.last_posted_at + make_interval(secs => ch.slow_mode_seconds)"
_HURRIED = "ch.slow_mode_seconds > 0 AND ch.kind || '/' || mb.role <> ALL(%(unhurried)s)"
_JUDGEMENT = f"""CASE
      WHEN known.command = c.id THEN 'again'
      {_VISIBILITY}
      WHEN known.digest = c.digest THEN 'duplicate'
      WHEN known.seq IS NOT NULL THEN 'KEY_REUSED'
      WHEN ch.kind || '/' || mb.role <> ALL(%(allowed)s) THEN 'NOT_ALLOWED'
      {_HUSHED}
      WHEN c.thread IS NOT NULL AND NOT EXISTS (
        SELECT FROM entries root WHERE root.message = c.thread AND root.kind = 1 AND root.channel = c.channel
          AND root.seq > {_FLOOR}) THEN 'NOT_FOUND'
      WHEN {_HURRIED} AND {_FREE_AT} > {_NOW} THEN 'SLOW_MODE'
      ELSE 'fresh'
    END"""

# Whether a channel's row is still the version that was judged.
_STILL = "channels.ctid = {0}.place AND channels.xmin = {0}.writer"

# A run of posts that are numbered already, from where a worker remembers each channel to stand (`messages.heads`). Nothing is
# stored when one stands elsewhere by now. Nothing is looked up, either: a key that was used before violates `entries_key`, and
# whether an author may post, the newest version of their row says in being updated.
NUMBERED = f"""
WITH counted AS (
  UPDATE channels SET head = known.last, posts = known.posts, last_post = known.last
  FROM unnest(%(channels)s::uuid[], %(firsts)s::bigint[], %(lasts)s::bigint[], %(posts_then)s::bigint[])
    AS known(id, first, last, posts)
  WHERE channels.id = known.id AND channels.slow_mode_seconds = 0
    AND channels.head = known.first - 1 AND channels.posts = known.posts - (known.last - known.first + 1)
  RETURNING true
),
moved AS (
  UPDATE members SET read_seq = own.s, last_posted_at = {_NOW}
  FROM json_to_recordset(%(authors)s::json) AS own(c uuid, a text, k text, s bigint, i float8)
  WHERE members.channel = own.c AND members."user" = own.a AND own.k || '/' || members.role = ANY(%(allowed)s)
    AND (members.silenced_until > now()) IS NOT TRUE
    AND NOT EXISTS (
      SELECT FROM users WHERE users.tenant = members.tenant AND users.id = members."user"
        AND (blocked OR revoked_before IS NOT NULL) AND (blocked OR EXTRACT(epoch FROM revoked_before) > own.i))
    AND NOT (own.k = 'direct' AND EXISTS (SELECT FROM blocks b WHERE b.tenant = members.tenant AND b.blocked = members."user")
      AND is_blocked(members.channel, members.tenant, members."user"))
  RETURNING true
),
logged AS (
  INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, key, digest, command, message, text, details)
  SELECT c, s, p, t, 1, a, {_NOW}, k, d, i, m, x, e
  FROM json_to_recordset(%(posts)s::json) AS posts(
    c uuid, s bigint, p bigint, t text, a text, k text, d bigint, i text, m uuid, x text, e jsonb)
),
noted AS (
  INSERT INTO unpublished (channels, firsts, lasts) SELECT %(channels)s::uuid[], %(firsts)s::bigint[], %(lasts)s::bigint[]
  WHERE CASE WHEN (SELECT count(*) FROM counted) = cardinality(%(channels)s::uuid[])
    AND (SELECT count(*) FROM moved) = json_array_length(%(authors)s::json) THEN true ELSE channel_changed() END
  RETURNING id
)
SELECT id, {_NOW} FROM noted
"""

# Where channels stand, for the next `NUMBERED`.
HEADS = """
SELECT id, tenant, kind, slow_mode_seconds > 0, head, posts FROM channels WHERE id = ANY(%(channels)s::uuid[])
"""

# One post: what `POSTS` does, without what it takes to number many.
POST = f"""
WITH c AS NOT MATERIALIZED (
  SELECT %(tenant)s::text AS tenant, %(channel)s::uuid AS channel, %(actor)s::text AS actor, %(key)s::text AS key,
    %(id)s::text AS id, %(digest)s::bigint AS digest, %(thread)s::uuid AS thread, %(text)s::text AS text,
    %(details)s::jsonb AS details, %(made)s::uuid AS made, %(issued)s::float8 AS issued
),
judged AS MATERIALIZED (
  SELECT ch.head + 1 AS next, ch.posts + 1 AS posts, ch.place, ch.writer, known.seq AS known_seq, known.message AS known_message,
    known.at AS known_at, {_NOW} AS now, {_FREE_AT} AS free_at, {_JUDGEMENT} AS verdict
  FROM c
  {_COMMAND}
),
fresh AS NOT MATERIALIZED (SELECT * FROM judged, c WHERE verdict = 'fresh'),
logged AS (
  INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, key, digest, command, message, text, details)
  SELECT channel, next, posts, tenant, 1, actor, now, key, digest, id, made, text, details FROM fresh
),
counted AS (
  UPDATE channels SET head = next, posts = fresh.posts, last_post = next FROM fresh WHERE {_STILL.format("fresh")} RETURNING true
),
moved AS (
  UPDATE members SET read_seq = next, last_posted_at = now FROM fresh
  WHERE members.channel = fresh.channel AND members."user" = fresh.actor
),
noted AS (
  INSERT INTO unpublished (channels, firsts, lasts) SELECT ARRAY[channel], ARRAY[next], ARRAY[next] FROM fresh
  WHERE CASE WHEN EXISTS (SELECT FROM counted) THEN true ELSE channel_changed() END RETURNING id
)
SELECT 0 AS n, verdict,
  CASE verdict WHEN 'fresh' THEN next ELSE known_seq END AS seq,
  CASE verdict WHEN 'fresh' THEN %(made)s::uuid ELSE known_message END AS message,
  known_at AS at,
  CASE verdict WHEN 'SLOW_MODE' THEN EXTRACT(epoch FROM free_at - now)::float8 END AS wait,
  (SELECT id FROM noted) AS noted, now
FROM judged
"""

# A run of posts, none of which shares its (channel, actor, key) with another. Order is the order of `n`, which counts from 0. The
# caller has counted each post's turn in its channel and among its author's there (from 1), as if none were refused: most
# often none is, and counting here would sort and copy all of them twice. Then only the few refused ones are looked through.
POSTS = f"""
WITH judged AS MATERIALIZED ( -- else the planner judges once for each use of the verdict
  SELECT c.n, c.tenant, c.channel, c.actor, c.key, c.id, c.digest, c.text, c.details, c.made, c.turn, c.own_turn,
    ch.head, ch.posts, ch.place, ch.writer, known.seq AS known_seq, known.message AS known_message, known.at AS known_at,
    {_NOW} AS now, {_FREE_AT} AS free_at, CASE WHEN {_HURRIED} THEN ch.slow_mode_seconds END AS pace, {_JUDGEMENT} AS judgement
  FROM (
    SELECT n, t AS tenant, c AS channel, a AS actor, k AS key, i AS id, d AS digest, r AS thread, x AS text, e AS details,
      m AS made, COALESCE(u, 1) AS turn, o AS own_turn, s AS issued
    FROM json_to_recordset(%(posts)s::json) AS posts(
      n int, t text, c uuid, a text, k text, i text, d bigint, r uuid, x text, e jsonb, m uuid, u int, o int, s float8)) c
  {_COMMAND}
),
paced AS NOT MATERIALIZED ( -- of an author's posts in a slow channel only the first may be fresh
  SELECT *, CASE
      WHEN judgement = 'fresh' AND pace IS NOT NULL AND own_turn > 1 AND EXISTS (
        SELECT FROM judged earlier WHERE earlier.channel = judged.channel AND earlier.actor = judged.actor
          AND earlier.n < judged.n AND earlier.judgement = 'fresh') THEN 'SLOW_MODE'
      ELSE judgement
    END AS verdict
  FROM judged
),
refused AS MATERIALIZED (SELECT channel, n FROM paced WHERE verdict <> 'fresh'),
numbered AS MATERIALIZED (
  SELECT *, turn - CASE WHEN EXISTS (SELECT FROM refused) THEN (
      SELECT count(*) FROM refused WHERE refused.channel = paced.channel AND refused.n < paced.n) ELSE 0 END AS nth
  FROM paced
),
fresh AS NOT MATERIALIZED (SELECT *, head + nth AS seq FROM numbered WHERE verdict = 'fresh'),
logged AS (
  INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, key, digest, command, message, text, details)
  SELECT channel, seq, posts + nth, tenant, 1, actor, now, key, digest, id, made, text, details FROM fresh
),
ranges AS MATERIALIZED (
  SELECT channel, any_value(place) AS place, any_value(writer) AS writer, min(seq) AS first, max(seq) AS last
  FROM fresh GROUP BY channel
),
counted AS (
  UPDATE channels SET head = ranges.last, posts = posts + ranges.last - head, last_post = ranges.last
  FROM ranges WHERE {_STILL.format("ranges")} RETURNING true
),
moved AS (
  UPDATE members SET read_seq = own.seq, last_posted_at = own.at
  FROM (SELECT channel, actor, max(seq) AS seq, max(now) AS at FROM fresh GROUP BY channel, actor) own
  WHERE members.channel = own.channel AND members."user" = own.actor
),
noted AS (
  INSERT INTO unpublished (channels, firsts, lasts)
  SELECT array_agg(channel), array_agg(first), array_agg(last) FROM ranges
  HAVING CASE count(*) WHEN 0 THEN false WHEN (SELECT count(*) FROM counted) THEN true ELSE channel_changed() END RETURNING id
)
SELECT n, verdict,
  CASE verdict WHEN 'fresh' THEN head + nth ELSE known_seq END AS seq,
  CASE verdict WHEN 'fresh' THEN made ELSE known_message END AS message,
  known_at AS at,
  CASE verdict WHEN 'SLOW_MODE' THEN
    CASE WHEN free_at > now THEN EXTRACT(epoch FROM free_at - now)::float8 ELSE pace END END AS wait,
  CASE n WHEN 0 THEN (SELECT id FROM noted) END AS noted, CASE n WHEN 0 THEN now END AS now
FROM numbered
"""


def _change(judgement: str, effect: str, *, join: str = "", repeated: str = "NULL::bigint") -> str:
    """The statement of one command about a message: `judgement` adds CASE branches, `repeated` is the first entry's seq."""
    return f"""
WITH c AS NOT MATERIALIZED (
  SELECT %(tenant)s::text AS tenant, %(channel)s::uuid AS channel, %(actor)s::text AS actor, %(key)s::text AS key,
    %(id)s::text AS id, %(message)s::uuid AS message, %(issued)s::float8 AS issued
),
target AS (
  SELECT c.*, ch.head + 1 AS next, ch.posts, known.seq AS known_seq, msg.seq AS posted_seq, {repeated} AS repeated_seq,
    CASE
      WHEN known.command = c.id THEN 'again'
      {_VISIBILITY}
      WHEN known.seq IS NOT NULL THEN 'KEY_REUSED'
      WHEN msg.id IS NULL THEN 'NOT_FOUND'
      {judgement}
      ELSE 'fresh'
    END AS verdict
  FROM c
  {_COMMAND}
  LEFT JOIN LATERAL (SELECT * FROM messages WHERE messages.id = c.message OFFSET 0) msg
    ON msg.channel = ch.id AND msg.seq > {_FLOOR}
  {join}
),
judged AS MATERIALIZED (
  SELECT *, date_trunc('milliseconds', clock_timestamp()) AS now,
    CASE verdict WHEN 'fresh' THEN next WHEN 'again' THEN known_seq WHEN 'duplicate' THEN repeated_seq END AS seq
  FROM target
),
fresh AS (SELECT * FROM judged WHERE verdict = 'fresh'),
logged AS (
  INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, key, command, message, text, details)
  SELECT channel, seq, posts, tenant, %(kind)s, actor, now, key, id, message, %(text)s, %(details)s::jsonb FROM fresh
),
counted AS (UPDATE channels SET head = fresh.seq FROM fresh WHERE channels.id = fresh.channel),
noted AS (
  INSERT INTO unpublished (channels, firsts, lasts) SELECT ARRAY[channel], ARRAY[seq], ARRAY[seq] FROM fresh RETURNING id
),
{effect}
SELECT 0 AS n, verdict, seq, message,
  CASE WHEN verdict <> 'fresh' THEN (
    SELECT first.at FROM entries first WHERE first.channel = judged.channel AND first.seq = judged.seq) END AS at,
  NULL::float8 AS wait, (SELECT id FROM noted) AS noted, now
FROM judged
"""


EDIT = _change(
    f"""
      WHEN msg.sender <> c.actor OR ch.kind || '/' || mb.role <> ALL(%(allowed)s) THEN 'NOT_ALLOWED'
      {_HUSHED}
      WHEN msg.deleted_seq IS NOT NULL THEN 'CONFLICT'
""",
    """edited AS (
  INSERT INTO changes (message, channel, seq, tenant, text, edited_at)
  SELECT message, channel, posted_seq, tenant, %(text)s, now FROM fresh
  ON CONFLICT (message) DO UPDATE SET text = excluded.text, edited_at = excluded.edited_at
)""",
)

# Erases what was said wherever it stands, in the same transaction; the numbers stay. What it carried is remembered as withdrawn,
# and that somebody else's was deleted for the audit.
DELETE = _change(
    """
      WHEN msg.sender <> c.actor AND ch.kind || '/' || mb.role <> ALL(%(others)s) THEN 'NOT_ALLOWED'
      WHEN msg.sender = c.actor AND ch.kind || '/' || mb.role <> ALL(%(allowed)s) THEN 'NOT_ALLOWED'
      WHEN msg.deleted_seq IS NOT NULL THEN 'duplicate'
""",
    """deleted AS (
  INSERT INTO changes (message, channel, seq, tenant, deleted_seq)
  SELECT message, channel, posted_seq, tenant, seq FROM fresh
  ON CONFLICT (message) DO UPDATE SET text = NULL, deleted_seq = excluded.deleted_seq
),
taken_back AS (
  INSERT INTO withdrawn (channel, upload, tenant)
  SELECT fresh.channel, carried->>'id', fresh.tenant FROM fresh
  JOIN entries post ON post.channel = fresh.channel AND post.seq = fresh.posted_seq,
    jsonb_array_elements(post.details->'attachments') AS carried
  ON CONFLICT DO NOTHING
),
unsaid AS (
  UPDATE entries SET text = NULL, details = details - '{attachments,mentions}'::text[]
  FROM fresh WHERE entries.channel = fresh.channel AND entries.seq = fresh.posted_seq
  RETURNING CASE WHEN entries.actor <> fresh.actor THEN audit_append(
    fresh.tenant, fresh.actor, 'message.deleted', fresh.channel, entries.actor,
    json_strip_nulls(json_build_object('message', fresh.message, 'seq', fresh.seq, 'via', %(via)s::text))::text) END
),
unedited AS (UPDATE entries SET text = NULL FROM fresh WHERE entries.message = fresh.message AND entries.kind = 2)""",
    repeated="msg.deleted_seq",
)

REACT = _change(
    f"""
      WHEN ch.kind || '/' || mb.role <> ALL(%(allowed)s) THEN 'NOT_ALLOWED'
      {_HUSHED}
      WHEN msg.deleted_seq IS NOT NULL THEN 'CONFLICT'
      WHEN rx.active <> %(remove)s THEN 'duplicate'
      WHEN rx.seq IS NULL AND %(remove)s THEN 'CONFLICT'
""",
    """reacted AS (
  INSERT INTO reactions (message, emoji, "user", tenant, active, seq)
  SELECT message, %(emoji)s, actor, tenant, NOT %(remove)s, seq FROM fresh
  ON CONFLICT (message, emoji, "user") DO UPDATE SET active = excluded.active, seq = excluded.seq
)""",
    join="""LEFT JOIN reactions rx ON rx.message = msg.id AND rx.emoji = %(emoji)s AND rx."user" = c.actor""",
    repeated="rx.seq",
)

PIN = _change(
    f"""
      WHEN ch.kind || '/' || mb.role <> ALL(%(allowed)s) THEN 'NOT_ALLOWED'
      {_HUSHED}
      WHEN msg.deleted_seq IS NOT NULL THEN 'CONFLICT'
      WHEN msg.pinned <> %(remove)s AND msg.pin_seq IS NOT NULL THEN 'duplicate'
      WHEN %(remove)s AND NOT msg.pinned THEN 'CONFLICT'
""",
    """pinned AS (
  INSERT INTO changes (message, channel, seq, tenant, pinned, pin_seq)
  SELECT message, channel, posted_seq, tenant, NOT %(remove)s, seq FROM fresh
  ON CONFLICT (message) DO UPDATE SET pinned = excluded.pinned, pin_seq = excluded.pin_seq
)""",
    repeated="msg.pin_seq",
)

# Read positions, each (channel, actor) once. Answers those that moved; who is no member moves nothing.
READS = """
UPDATE members SET read_seq = LEAST(r.seq, ch.head)
FROM json_to_recordset(%(reads)s::json) AS r(tenant text, channel uuid, actor text, seq bigint)
JOIN LATERAL (SELECT * FROM channels WHERE channels.id = r.channel OFFSET 0) ch ON ch.tenant = r.tenant
WHERE members.channel = r.channel AND members."user" = r.actor AND members.read_seq < LEAST(r.seq, ch.head)
RETURNING members.channel, members."user", members.read_seq
"""
