"""SQL of the search index. Each slice is a table of its own, which the statements name: `{slice}`, an identifier.

Indexes of a slice: its primary key, and a GIN of the channel and the words.
"""

from messages.queries.messages import FLOOR, columns

GENERATIONS = "SELECT generation, serving FROM search_generations ORDER BY generation"
SERVING = "SELECT generation FROM search_generations WHERE serving"
# Unless one is being built.
BEGIN_GENERATION = """
INSERT INTO search_generations (generation, serving)
SELECT max(generation) + 1, false FROM search_generations
HAVING max(generation) = max(generation) FILTER (WHERE serving)
"""
NEWEST_GENERATION = "SELECT max(generation) FROM search_generations"
STOP_SERVING = "UPDATE search_generations SET serving = false WHERE serving"
SERVE = "UPDATE search_generations SET serving = true, served_at = now() WHERE generation = %(generation)s"
# Generations that no search uses any more: one that has begun on an old generation ends within 10 s.
RETIRED = """
SELECT old.generation FROM search_generations old, search_generations serving
WHERE serving.serving AND old.generation < serving.generation AND serving.served_at < now() - interval '30 s'
"""
DROP_GENERATION = "SELECT search_drop_generation(%(generation)s)"

# Held while slices are added: exclusively; while rows are added to them: shared, so that each message has one slice.
LOCK_SLICES = "SELECT pg_advisory_xact_lock(x'73656172'::int, %(generation)s)"
SHARE_SLICES = "SELECT pg_advisory_xact_lock_shared(x'73656172'::int, %(generation)s)"

# How many messages each generation has.
SIZE = "SELECT COALESCE(sum(messages), 0)::bigint FROM search_slices WHERE generation = %(generation)s"
SLICES = "SELECT first, name, messages FROM search_slices WHERE generation = %(generation)s ORDER BY first DESC"
ADD_SLICE = "SELECT search_add_slice(%(generation)s, %(first)s)"
COUNT = """
UPDATE search_slices SET messages = messages + %(more)s WHERE generation = %(generation)s AND first = %(first)s
"""
NEWEST = "SELECT message FROM {slice} ORDER BY message DESC LIMIT 1"

# The ids of about one message in `every`, with which slices of equal size are laid out before an index is built.
SAMPLE = """
SELECT message FROM entries TABLESAMPLE SYSTEM (100.0 / %(every)s::integer) WHERE kind = 1 ORDER BY message
"""
ESTIMATE = """
SELECT GREATEST(sum(reltuples), 0)::bigint FROM pg_class
WHERE relkind = 'r' AND (oid = 'entries'::regclass OR oid IN (SELECT relid FROM pg_partition_tree('entries') WHERE isleaf))
"""

INSERT = """
INSERT INTO {slice} AS s (message, channel, seq, words)
SELECT * FROM unnest(%(messages)s::uuid[], %(channels)s::uuid[], %(seqs)s::bigint[], %(words)s::text[]::tsvector[])
ON CONFLICT (message) DO UPDATE SET words = EXCLUDED.words WHERE s.words <> EXCLUDED.words
"""
DELETE = """
DELETE FROM {slice} WHERE message = ANY(%(messages)s::uuid[])
"""

# What a user posted. Other tenants may have a user with the same id.
ERASE = """
DELETE FROM {slice} WHERE words @@ %(sender)s::tsquery AND channel IN (SELECT id FROM channels WHERE tenant = %(tenant)s)
"""
ALL_SLICES = "SELECT first, name, messages FROM search_slices"

# The current state of messages that were edited or deleted.
CURRENT = """
SELECT m.id, m.channel, m.seq, m.sender, m.text, m.details::text
FROM unnest(%(channels)s::uuid[], %(messages)s::uuid[]) AS changed(channel, id) CROSS JOIN LATERAL (
  SELECT * FROM messages WHERE channel = changed.channel AND id = changed.id AND deleted_seq IS NULL OFFSET 0) m
"""

# Messages that were found, as a member sees them now. Drops those that the caller may not read, and deleted ones.
FOUND = f"""
SELECT {columns(FLOOR)} FROM unnest(%(channels)s::uuid[], %(seqs)s::bigint[]) AS hit(channel, seq)
CROSS JOIN LATERAL (
  SELECT * FROM members WHERE channel = hit.channel AND "user" = %(user)s AND tenant = %(tenant)s OFFSET 0) mb
CROSS JOIN LATERAL (SELECT * FROM channels WHERE id = hit.channel OFFSET 0) ch
CROSS JOIN LATERAL (SELECT * FROM messages WHERE channel = hit.channel AND seq = hit.seq OFFSET 0) m
WHERE m.seq > {FLOOR} AND m.deleted_seq IS NULL
ORDER BY m.id DESC
"""

# The channels in which a user may search, the number above which they may read, and the head, if the index is behind it.
CHANNELS = f"""
SELECT mb.channel, {FLOOR}, CASE WHEN ch.head > COALESCE(p.seq, 0) THEN ch.head END
FROM members mb JOIN channels ch ON ch.id = mb.channel
LEFT JOIN reader_positions p ON p.channel = ch.id AND p.reader = %(reader)s
WHERE mb.tenant = %(tenant)s AND mb."user" = %(user)s AND (%(channel)s::uuid IS NULL OR mb.channel = %(channel)s)
"""
IS_BEHIND = """
SELECT EXISTS (
  SELECT FROM unnest(%(channels)s::uuid[], %(heads)s::bigint[]) AS c(channel, head)
  LEFT JOIN reader_positions p ON p.channel = c.channel AND p.reader = %(reader)s WHERE c.head > COALESCE(p.seq, 0))
"""

# The matches of one slice. OFFSET 0 keeps the planner from walking the primary key backwards until enough rows match, which takes
# seconds for a rare word. {within} is one of the conditions below.
MATCHES = """
SELECT message, channel, seq FROM {slice} WHERE {within} AND words @@ %(query)s::tsquery
  AND (%(before)s::uuid IS NULL OR message < %(before)s) OFFSET 0
"""
# The index looks for the channels and for the words.
BY_CHANNEL = "channel = ANY(%(channels)s::uuid[])"
# The index looks for the words alone: cheaper than looking for thousands of channels, or for 50 channels and all words that begin
# with some letters.
BY_WORDS = "(channel = ANY(%(channels)s::uuid[])) IS TRUE"
# The newest of a window's matches.
WINDOW = """
SELECT message, channel, seq FROM ({matches}) AS found
LEFT JOIN unnest(%(limited)s::uuid[], %(floors)s::bigint[]) AS bound(channel, floor) USING (channel)
WHERE bound.floor IS NULL OR seq > bound.floor
ORDER BY message DESC LIMIT %(limit)s
"""
