"""SQL of the log: appending entries of RPCs, reading ranges, roster changes, and the outbox `unpublished`.

Indexes: primary keys, `roster_changes_by_time`.
"""

from messages.queries.epoch import EPOCH

# The caller has locked the channel. Numbers the entries in the order given; returns each one's number and time.
APPEND = f"""
WITH drafts AS MATERIALIZED (
  SELECT e.*, ch.id AS channel, ch.tenant, ch.head + e.n AS seq, ch.posts, ch.roster,
    date_trunc('milliseconds', clock_timestamp()) AS at
  FROM channels ch, json_to_recordset(%(entries)s::json) AS e(n int, kind smallint, actor text, details jsonb)
  WHERE ch.id = %(channel)s AND ch.tenant = %(tenant)s
),
logged AS (
  INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, command, details)
  SELECT channel, seq, posts, tenant, kind, actor, at, %(command)s, details FROM drafts
),
advanced AS (
  UPDATE channels SET head = newest.seq, active_at = newest.at
  FROM (SELECT max(seq) AS seq, max(at) AS at FROM drafts HAVING count(*) > 0) newest WHERE id = %(channel)s
),
outbox AS (
  INSERT INTO unpublished (channels, firsts, lasts)
  SELECT ARRAY[channel], ARRAY[min(seq)], ARRAY[max(seq)] FROM drafts GROUP BY channel RETURNING id
)
SELECT seq, at, (SELECT id FROM outbox), {EPOCH}, roster FROM drafts ORDER BY n
"""

# Entries of several ranges (after, through], each in order. A committed log has no gaps, so a range has as many rows as numbers.
RANGES = f"""
SELECT e.channel, e.seq, e.tenant, e.kind, e.actor, e.at, e.key, e.command, e.message, e.text, e.sealed, e.details::text, e.about,
  {EPOCH}, ch.roster, ch.members
FROM unnest(%(channels)s::uuid[], %(afters)s::bigint[], %(throughs)s::bigint[]) WITH ORDINALITY AS r(channel, after, through, n)
CROSS JOIN LATERAL (SELECT roster, members FROM channels WHERE channels.id = r.channel OFFSET 0) ch
CROSS JOIN LATERAL (
  SELECT * FROM entries WHERE entries.channel = r.channel AND entries.seq > r.after AND entries.seq <= r.through
  ORDER BY entries.seq OFFSET 0) e
ORDER BY r.n, e.seq
"""

# Numbers the changes of a locked channel in the order given; the head stays. Returns each one's number, the head and the time.
CHANGE_ROSTER = f"""
WITH drafts AS MATERIALIZED (
  SELECT c.n, c."user", c.role, ch.id AS channel, ch.tenant, ch.head, ch.roster + c.n AS number, clock_timestamp() AS at
  FROM channels ch, unnest(%(users)s::text[], %(roles)s::text[]) WITH ORDINALITY AS c("user", role, n)
  WHERE ch.id = %(channel)s AND ch.tenant = %(tenant)s
),
changed AS (
  INSERT INTO roster_changes (channel, number, tenant, "user", role, seq, at)
  SELECT channel, number, tenant, "user", role, head, at FROM drafts
),
advanced AS (
  UPDATE channels SET roster = (SELECT max(number) FROM drafts) WHERE id = %(channel)s
),
outbox AS (
  INSERT INTO unpublished (channels, firsts, lasts, roster)
  SELECT ARRAY[channel], ARRAY[min(number)], ARRAY[max(number)], true FROM drafts GROUP BY channel RETURNING id
)
SELECT number, head, at, (SELECT id FROM outbox), {EPOCH} FROM drafts ORDER BY n
"""

# Roster changes of several ranges of numbers (after, through], each in order.
ROSTER_CHANGES = f"""
SELECT e.channel, e.number, e.tenant, e."user", e.role, e.seq, e.at, ch.members, ch.kind, ch.name, ch.history, {EPOCH}
FROM unnest(%(channels)s::uuid[], %(afters)s::bigint[], %(throughs)s::bigint[]) WITH ORDINALITY AS r(channel, after, through, n)
CROSS JOIN LATERAL (SELECT members, kind, name, history FROM channels WHERE channels.id = r.channel OFFSET 0) ch
CROSS JOIN LATERAL (
  SELECT * FROM roster_changes c WHERE c.channel = r.channel AND c.number > r.after AND c.number <= r.through
  ORDER BY c.number OFFSET 0) e
ORDER BY r.n, e.number
"""

# Rows that another sweeper is deleting are left to it.
DELETE_ROSTER_CHANGES = """
DELETE FROM roster_changes WHERE (channel, number) IN (
  SELECT channel, number FROM roster_changes WHERE at < now() - make_interval(secs => %(seconds)s)
  ORDER BY at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""

# At least one row, for the epoch.
HEADS = f"""
SELECT {EPOCH}, found.id, found.head, found.roster FROM (VALUES (1)) AS one
LEFT JOIN (SELECT id, head, roster FROM channels WHERE id = ANY(%(channels)s::uuid[])) found ON true
"""

# All channels, in pages.
HEADS_AFTER = """
SELECT id, head FROM channels WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
"""

HEADS_OF_TENANTS_AFTER = """
SELECT id, head FROM channels WHERE id > %(after)s AND tenant = ANY(%(tenants)s) ORDER BY id LIMIT %(limit)s
"""

HEAD = f"""
SELECT head, {EPOCH}, roster FROM channels WHERE id = %(channel)s AND tenant = %(tenant)s
"""

# One row for each requested channel, in order: the head, the number up to which the user may not read, and the one up to which
# the entries are archived. NULLs when they may not read at all.
POSITIONS = f"""
SELECT {EPOCH}, ch.head, CASE ch.history WHEN 'joined' THEN mb.joined_seq - 1 ELSE 0 END AS floor, ch.archived_to
FROM unnest(%(channels)s::uuid[]) WITH ORDINALITY AS requested(channel, n)
LEFT JOIN members mb ON mb.channel = requested.channel AND mb."user" = %(user)s AND mb.tenant = %(tenant)s
LEFT JOIN channels ch ON ch.id = mb.channel
ORDER BY requested.n
"""

# Entries that a crash or an outage of the bus kept from the bus. Skips rows that another transaction is deleting.
STALE_UNPUBLISHED = """
SELECT id, channels, firsts, lasts, roster FROM unpublished WHERE created_at < now() - make_interval(secs => %(seconds)s)
ORDER BY id LIMIT 200 FOR UPDATE SKIP LOCKED
"""

# Rows that another transaction is deleting are left to it.
DELETE_UNPUBLISHED = """
DELETE FROM unpublished WHERE id IN (SELECT id FROM unpublished WHERE id = ANY(%(ids)s) FOR UPDATE SKIP LOCKED)
"""

# Counts up to 10,000: beyond that it only matters that there are many.
COUNT_UNPUBLISHED = """
SELECT count(*) FROM (
  SELECT FROM unpublished WHERE created_at < now() - make_interval(secs => %(seconds)s) ORDER BY id LIMIT 10000) AS stale
"""
