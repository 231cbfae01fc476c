"""SQL of channels, as one user sees them. Indexes: primary keys, `members_of_user`, `channels_direct`, `channels_of_tenant`."""

from messages.queries.epoch import EPOCH, FIRST
from messages.queries.messages import FLOOR, columns

# What authorizing a caller needs.
_MEMBERSHIP = """ch.id, ch.kind, ch.name, ch.topic, ch.slow_mode_seconds, ch.history, ch.head, ch.archived_to,
  mb.role, mb.joined_seq, mb.read_seq, mb.muted, ch.members, ch.roster"""
_BANNED = """EXISTS (
  SELECT FROM bans b WHERE b.channel = ch.id AND b."user" = %(user)s AND b.until > now())"""
_MINE = """FROM channels ch LEFT JOIN members mb ON mb.channel = ch.id AND mb."user" = %(user)s
WHERE ch.id = %(channel)s AND ch.tenant = %(tenant)s"""

MEMBERSHIP = f"SELECT {_MEMBERSHIP}, {_BANNED} {_MINE}"

# Posting moves the author's read position, so all later messages are by other users: unread is a difference of two counts.
# Messages that left the log are not counted.
_UNREAD = """CASE WHEN mb.role IS NULL THEN 0 ELSE ch.posts - COALESCE((
    SELECT posts FROM entries last_read
    WHERE last_read.channel = ch.id AND last_read.seq = mb.read_seq), ch.archived_posts) END"""
_PEER = """CASE ch.kind WHEN 'direct' THEN (
    SELECT json_build_object('id', u.id, 'name', u.name)::text FROM members other
    JOIN users u ON u.tenant = other.tenant AND u.id = other."user"
    WHERE other.channel = ch.id AND other."user" <> %(user)s LIMIT 1) END"""
_VIEW = f"""
SELECT {_MEMBERSHIP}, {_BANNED}, {_UNREAD}, {_PEER}, last.*
FROM channels ch
LEFT JOIN members mb ON mb.channel = ch.id AND mb."user" = %(user)s
LEFT JOIN LATERAL (
  SELECT {columns(FLOOR)} FROM messages m
  WHERE m.channel = ch.id AND m.seq = ch.last_post AND mb.role IS NOT NULL AND m.seq > {FLOOR}) last ON true
"""

VIEW = f"""{_VIEW}
WHERE ch.id = %(channel)s AND ch.tenant = %(tenant)s
"""

# Pages of channels, most recently active first: (active, id) is the position of a channel. Only those of the page are read whole.
_PAGE = """
SELECT page.active::text, listing.* FROM (
  SELECT id, active_at AS active FROM ({candidates}) candidate
  WHERE %(active)s::timestamptz IS NULL OR active_at < %(active)s OR (active_at = %(active)s AND id > %(after)s)
  ORDER BY active_at DESC, id LIMIT %(limit)s) page
JOIN LATERAL ({view} WHERE ch.id = page.id OFFSET 0) listing ON true
ORDER BY page.active DESC, page.id
"""

LIST_OWN = _PAGE.format(
    view=_VIEW,
    candidates="""
  SELECT own.id, own.active_at FROM members
  JOIN LATERAL (SELECT id, active_at, kind, name FROM channels WHERE channels.id = members.channel OFFSET 0) own ON true
  WHERE members.tenant = %(tenant)s AND members."user" = %(user)s
    AND (%(pattern)s::text IS NULL OR lower(CASE own.kind WHEN 'direct' THEN (
        SELECT u.id || ' ' || u.name FROM members other JOIN users u ON u.tenant = other.tenant AND u.id = other."user"
        WHERE other.channel = own.id AND other."user" <> %(user)s LIMIT 1) ELSE own.name END) LIKE %(pattern)s)""",
)

LIST_JOINABLE = _PAGE.format(
    view=_VIEW,
    candidates=f"""
  SELECT ch.id, ch.active_at FROM channels ch
  WHERE ch.tenant = %(tenant)s AND ch.kind = ANY(%(joinable)s) AND NOT {_BANNED}
    AND (%(pattern)s::text IS NULL OR lower(ch.name) LIKE %(pattern)s) AND NOT EXISTS (
    SELECT FROM members WHERE members.channel = ch.id AND members."user" = %(user)s)
  LIMIT 10000""",
)

# What a session needs of each user's channels, in the order of the request. `memberships` and `listed` are JSON that is passed on
# as it is: [[id, head, floor, roster, members, archived_to], ...] of all channels, and those of `hello` as docs/protocol.md shows
# them. Blocks: one more than is shown.
OF_USERS = f"""
SELECT {EPOCH}, {FIRST}, own.*, ARRAY(
    SELECT blocked FROM blocks WHERE blocks.tenant = requested.tenant AND blocks."user" = requested.id LIMIT 1001),
  ARRAY(SELECT "user" FROM blocks WHERE blocks.tenant = requested.tenant AND blocks.blocked = requested.id LIMIT 1001)
FROM unnest(%(tenants)s::text[], %(ids)s::text[]) WITH ORDINALITY AS requested(tenant, id, n)
CROSS JOIN LATERAL (
  WITH mine AS MATERIALIZED (
    SELECT ch.id, ch.kind, ch.name, mb.role, ch.head AS seq, mb.read_seq, ch.roster, ch.members, ch.archived_to,
      CASE ch.history WHEN 'joined' THEN mb.joined_seq - 1 ELSE 0 END AS floor, ch.last_post > mb.read_seq AS unread, ch.active_at
    FROM members mb JOIN channels ch ON ch.id = mb.channel
    WHERE mb.tenant = requested.tenant AND mb."user" = requested.id
  )
  SELECT (SELECT count(*) FROM mine) > %(listed)s AS more,
    (SELECT '[' || string_agg(concat('["', id, '",', concat_ws(',', seq, floor, roster, members, archived_to), ']'), ',') || ']'
      FROM mine) AS memberships,
    (SELECT '[' || string_agg(row_to_json(shown)::text, ',' ORDER BY id) || ']' FROM (
      SELECT id, kind, name, role, seq, read_seq FROM mine ORDER BY unread DESC, active_at DESC LIMIT %(listed)s) shown) AS listed
) own
ORDER BY requested.n
"""

# How many channels each user has, in the order of the request.
COUNT_OF_USERS = """
SELECT (SELECT count(*) FROM members mb WHERE mb.tenant = requested.tenant AND mb."user" = requested.id)
FROM unnest(%(tenants)s::text[], %(ids)s::text[]) WITH ORDINALITY AS requested(tenant, id, n) ORDER BY n
"""

# No row when the two users have a direct channel already. Waits for a concurrent transaction that creates it.
CREATE = """
INSERT INTO channels (tenant, kind, name, history, direct_key)
VALUES (%(tenant)s, %(kind)s, %(name)s, %(history)s, %(direct_key)s)
ON CONFLICT (tenant, direct_key) DO NOTHING RETURNING id
"""

DIRECT = """
SELECT id FROM channels WHERE tenant = %(tenant)s AND direct_key = %(direct_key)s
"""

UPDATE = """
UPDATE channels SET name = %(name)s, topic = %(topic)s, slow_mode_seconds = %(slow_mode_seconds)s
WHERE id = %(channel)s AND tenant = %(tenant)s
"""

# Until the transaction ends, no other transaction numbers an entry of the channel or changes its members.
LOCK = """
SELECT FROM channels WHERE id = %(channel)s FOR NO KEY UPDATE
"""

MUTE = """
UPDATE members SET muted = %(muted)s
WHERE channel = %(channel)s AND "user" = %(user)s AND tenant = %(tenant)s AND muted <> %(muted)s
"""
