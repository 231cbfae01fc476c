"""SQL of messages in their current state.

Indexes: primary keys, `entries_posted`, `entries_of_posts`, `entries_replies`, `changes_pinned`.
"""

_REACTIONS = """(
  SELECT json_agg(json_build_object('emoji', emoji, 'count', count, 'users',
    CASE WHEN bytes <= 16384 THEN users ELSE users[1:1] END) ORDER BY first)::text FROM (
    SELECT *, sum(octet_length(users::text)) OVER (ORDER BY first) AS bytes FROM (
      SELECT emoji, count(*) AS count, (array_agg("user" ORDER BY seq))[1:50] AS users, min(seq) AS first
      FROM reactions WHERE channel = m.channel AND message = m.id AND active AND m.deleted_seq IS NULL
      GROUP BY emoji) each) sized)"""

FLOOR = "CASE ch.history WHEN 'joined' THEN mb.joined_seq - 1 ELSE 0 END"
"""The member `mb` of the channel `ch` may read what is numbered above this."""


def columns(floor: str) -> str:
    """Columns of a message, for `store.messages`, as a member with this floor sees it: without a thread below the floor."""
    return f"""m.id, m.channel, m.seq, m.sender, m.text, m.sealed, m.at, m.edited_at, m.deleted_seq IS NOT NULL,
  m.pinned AND m.deleted_seq IS NULL,
  (CASE WHEN m.about <= {floor} THEN m.details - 'thread' ELSE m.details END)::text, {_REACTIONS}"""


MESSAGE = columns("%(floor)s")

# Newest first, between two exclusive bounds. `seq > 0` is part of the predicate of `entries_of_posts`.
_BETWEEN = f"""
SELECT {MESSAGE} FROM messages m
WHERE m.channel = %(channel)s AND m.tenant = %(tenant)s AND m.seq > 0 AND m.seq > %(after)s AND m.seq < %(before)s"""
_NEWEST = """
ORDER BY m.seq DESC LIMIT %(limit)s
"""
LIST = _BETWEEN + _NEWEST
ONE = f"""
SELECT {MESSAGE} FROM messages m
WHERE m.channel = %(channel)s AND m.tenant = %(tenant)s AND m.id = %(message)s AND m.seq > %(floor)s
"""

# A reply is none for a member who may not see the thread's root.
_ROOT_SEEN = "(m.about IS NULL OR m.about > %(floor)s)"

# The numbers of a thread's newest messages, its root included. Walks `entries_replies`, not the channel.
_OF_THREAD = """ARRAY(
    (SELECT seq FROM entries WHERE channel = %(channel)s AND thread = %(thread)s AND seq > %(after)s AND seq < %(before)s
     ORDER BY seq DESC LIMIT %(limit)s)
    UNION ALL SELECT seq FROM entries WHERE channel = %(channel)s AND message = %(thread)s AND kind = 1)"""
THREAD = f"{_BETWEEN} AND {_ROOT_SEEN} AND m.seq = ANY ({_OF_THREAD}){_NEWEST}"

# As above, of pinned messages: those of the page in the channel, all of them (`Limits.pins_per_channel`) for a thread.
_PINS = "SELECT seq FROM changes WHERE channel = %(channel)s AND pinned AND deleted_seq IS NULL"
PINNED = f"""{_BETWEEN} AND m.seq = ANY (ARRAY(
    {_PINS} AND seq > %(after)s AND seq < %(before)s ORDER BY seq DESC LIMIT %(limit)s)){_NEWEST}"""
PINNED_IN_THREAD = f"""{_BETWEEN} AND m.seq = ANY (ARRAY({_PINS}))
  AND (m.id = %(thread)s OR (m.thread = %(thread)s AND {_ROOT_SEEN})){_NEWEST}"""

# Messages that mention a user, newest first; `search.FOUND` reads those that the user may still read.
MENTIONS = """
SELECT message, channel, seq FROM mentions
WHERE tenant = %(tenant)s AND "user" = %(user)s AND message < %(older)s ORDER BY message DESC LIMIT %(limit)s
"""

# Whether messages carry an upload, but each was deleted or is numbered up to `floor`.
_CARRIED = "FROM carried c {join} WHERE c.channel = %(channel)s AND c.upload = %(upload)s AND c.tenant = %(tenant)s"
IS_HIDDEN = f"""
SELECT EXISTS (SELECT {_CARRIED.format(join="")}) AND NOT EXISTS (
  SELECT {_CARRIED.format(join="LEFT JOIN changes d ON d.channel = c.channel AND d.message = c.message")}
    AND c.seq > %(floor)s AND d.deleted_seq IS NULL)
"""
