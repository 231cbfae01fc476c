"""SQL of silences and blocks. The caller has locked the channel of a silence. Indexes: primary keys, `blocks_of_user`."""

SILENCE = """
WITH silence AS (
  INSERT INTO silences (channel, "user", tenant, moderator, reason, until)
  VALUES (%(channel)s, %(user)s, %(tenant)s, %(moderator)s, %(reason)s, now() + make_interval(secs => %(seconds)s))
  ON CONFLICT (channel, "user") DO UPDATE
  SET moderator = excluded.moderator, reason = excluded.reason, until = excluded.until RETURNING until
)
UPDATE members SET silenced_until = silence.until FROM silence
WHERE channel = %(channel)s AND "user" = %(user)s AND tenant = %(tenant)s
"""

UNSILENCE = """
WITH lifted AS (
  DELETE FROM silences WHERE channel = %(channel)s AND "user" = %(user)s AND tenant = %(tenant)s RETURNING until
), unsilenced AS (
  UPDATE members SET silenced_until = NULL WHERE channel = %(channel)s AND "user" = %(user)s AND tenant = %(tenant)s
)
SELECT FROM lifted WHERE until > now()
"""

BLOCK = """
INSERT INTO blocks (tenant, blocked, "user") VALUES (%(tenant)s, %(blocked)s, %(user)s) ON CONFLICT DO NOTHING
"""

UNBLOCK = """
DELETE FROM blocks WHERE tenant = %(tenant)s AND blocked = %(blocked)s AND "user" = %(user)s
"""

BLOCKED = """
SELECT u.id, u.name FROM blocks b JOIN users u ON u.tenant = b.tenant AND u.id = b.blocked
WHERE b.tenant = %(tenant)s AND b."user" = %(user)s AND b.blocked > %(after)s ORDER BY b.blocked LIMIT %(limit)s
"""

COUNT_BLOCKED = """
SELECT count(*) FROM blocks WHERE tenant = %(tenant)s AND "user" = %(user)s
"""
