"""SQL of the readers of other products. Indexes: primary keys, and (caller, name) of feed_readers."""

from messages.queries.epoch import EPOCH

# Serialises the creation of a caller's readers.
LOCK_CALLER = """
SELECT pg_advisory_xact_lock(hashtextextended('feed.' || %(caller)s, 0))
"""

# Whether the reader exists, and how many the caller has.
FIND = """
SELECT coalesce(bool_or(name = %(name)s), false), count(*) FROM feed_readers WHERE caller = %(caller)s
"""

CREATE = f"""
INSERT INTO feed_readers (reader, caller, name, from_now, epoch) SELECT %(reader)s, %(caller)s, %(name)s, %(from_now)s, {EPOCH}
"""

# Ids of streams ascend in time.
TAKE_OVER = f"""
UPDATE feed_readers SET stream = uuidv7(), used_at = now() WHERE reader = %(reader)s
RETURNING tenants, stream::text, from_now, epoch, {EPOCH},
  (SELECT count(*) FROM feed_batches b WHERE b.reader = feed_readers.reader)
"""

# Lets a reader begin at the heads of a page of channels of the tenants. Returns the last id and how many channels it had.
BEGIN_AT_HEADS = """
WITH page AS MATERIALIZED (
  SELECT id, head FROM channels
  WHERE id > %(after)s AND (%(every)s OR tenant = ANY(%(tenants)s)) AND tenant <> ALL(%(begun)s) ORDER BY id LIMIT %(limit)s
),
started AS (
  INSERT INTO reader_positions (reader, channel, seq) SELECT %(reader)s, id, head FROM page WHERE head > 0
  ON CONFLICT (reader, channel) DO NOTHING
)
SELECT (SELECT id FROM page ORDER BY id DESC LIMIT 1), (SELECT count(*) FROM page)
"""

FORGET_CURSORS = """
DELETE FROM reader_cursors WHERE reader = %(reader)s
"""

BEGUN = """
UPDATE feed_readers SET tenants = %(tenants)s WHERE reader = %(reader)s
"""

# One row if the stream may still send, with the store's epoch.
HOLD = f"""
SELECT {EPOCH} FROM feed_readers WHERE reader = %(reader)s AND stream = %(stream)s FOR SHARE
"""

# No row if the stream may not send any more.
ADD_BATCH = f"""
WITH mine AS (UPDATE feed_readers SET number = number + 1 WHERE reader = %(reader)s AND stream = %(stream)s RETURNING number)
INSERT INTO feed_batches (reader, number, epoch, channels, afters, throughs)
SELECT %(reader)s, number, {EPOCH}, %(channels)s::uuid[], %(afters)s::bigint[], %(throughs)s::bigint[] FROM mine
RETURNING number, epoch
"""

# Rows of a later epoch stay: their numbers were given out again after the store had lost some. No row if there is no such reader.
ACKNOWLEDGE = """
WITH gone AS (
  DELETE FROM feed_batches WHERE reader = %(reader)s AND number <= %(number)s AND epoch <= %(epoch)s RETURNING epoch
)
UPDATE feed_readers SET used_at = now(), epoch = greatest(epoch, (SELECT max(epoch) FROM gone))
WHERE reader = %(reader)s RETURNING true
"""

# A page of what is not acknowledged, in order.
BATCHES = """
SELECT number, epoch, channels, afters, throughs FROM feed_batches
WHERE reader = %(reader)s AND number > %(after)s ORDER BY number LIMIT %(limit)s
"""

# A page of what a reader was sent of each channel.
POSITIONS = """
SELECT ch.tenant, p.channel, p.seq FROM reader_positions p JOIN channels ch ON ch.id = p.channel
WHERE p.reader = %(reader)s AND p.channel > %(after)s ORDER BY p.channel LIMIT %(limit)s
"""

# The stream that may send, and how much is not acknowledged. Notes once a minute that the reader is used.
WATCH = """
WITH used AS (
  UPDATE feed_readers SET used_at = now()
  WHERE reader = %(reader)s AND stream = %(stream)s AND used_at < now() - interval '1 minute'
)
SELECT stream::text, (SELECT count(*) FROM feed_batches WHERE reader = %(reader)s) FROM feed_readers WHERE reader = %(reader)s
"""

# The readers of a caller, or all of them; each with the time up to which it was sent everything, and what is not acknowledged.
LIST = """
SELECT r.caller, r.name, r.created_at, r.used_at, sent.read_to, waiting.batches, waiting.oldest
FROM feed_readers r
CROSS JOIN LATERAL (
  SELECT CASE WHEN count(read_to) >= %(topics)s THEN min(read_to) END AS read_to
  FROM reader_cursors c WHERE c.reader = r.reader) sent
CROSS JOIN LATERAL (SELECT count(*) AS batches, min(at) AS oldest FROM feed_batches b WHERE b.reader = r.reader) waiting
WHERE %(caller)s::text IS NULL OR r.caller = %(caller)s ORDER BY r.caller, r.name
"""

UNUSED = """
SELECT reader FROM feed_readers WHERE used_at < now() - make_interval(days => %(days)s)
"""

# A page of a reader's positions. Returns how many were deleted.
DELETE_POSITIONS = """
WITH page AS MATERIALIZED (SELECT channel FROM reader_positions WHERE reader = %(reader)s LIMIT %(limit)s),
gone AS (
  DELETE FROM reader_positions p USING page WHERE p.reader = %(reader)s AND p.channel = page.channel RETURNING 1)
SELECT count(*) FROM gone
"""

DELETE = """
DELETE FROM feed_readers WHERE reader = %(reader)s RETURNING true
"""

KINDS = """
SELECT id, kind FROM channels WHERE id = ANY(%(channels)s::uuid[])
"""
