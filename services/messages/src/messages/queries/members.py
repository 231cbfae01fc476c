"""SQL of members and bans. The caller has locked the channel for every change. Indexes: primary keys."""

LIST = """
SELECT mb."user", u.name, mb.role FROM members mb JOIN users u ON u.tenant = mb.tenant AND u.id = mb."user"
WHERE mb.channel = %(channel)s AND mb.tenant = %(tenant)s AND mb."user" > %(after)s ORDER BY mb."user" LIMIT %(limit)s
"""

FIND = """
SELECT mb."user", u.name, mb.role FROM members mb JOIN users u ON u.tenant = mb.tenant AND u.id = mb."user"
WHERE mb.channel = %(channel)s AND mb.tenant = %(tenant)s AND mb."user" = ANY(%(users)s)
"""

ADD = """
INSERT INTO members (channel, "user", tenant, role, joined_seq, read_seq, silenced_until)
SELECT %(channel)s, joining."user", %(tenant)s, joining.role, joining.seq, joining.seq, (
  SELECT s.until FROM silences s WHERE s.channel = %(channel)s AND s."user" = joining."user")
FROM unnest(%(users)s::text[], %(roles)s::text[], %(seqs)s::bigint[]) AS joining("user", role, seq)
"""

SET_ROLE = """
UPDATE members SET role = %(role)s WHERE channel = %(channel)s AND "user" = %(user)s AND tenant = %(tenant)s
"""

REMOVE = """
DELETE FROM members WHERE channel = %(channel)s AND "user" = %(user)s AND tenant = %(tenant)s
"""

BANNED = """
SELECT "user" FROM bans WHERE channel = %(channel)s AND "user" = ANY(%(users)s) AND until > now()
"""

BAN = """
INSERT INTO bans (channel, "user", tenant, moderator, reason, until)
VALUES (%(channel)s, %(user)s, %(tenant)s, %(moderator)s, %(reason)s,
  CASE WHEN %(seconds)s::bigint = 0 THEN 'infinity' ELSE now() + make_interval(secs => %(seconds)s::bigint) END)
ON CONFLICT (channel, "user") DO UPDATE SET moderator = excluded.moderator, reason = excluded.reason, until = excluded.until
"""

UNBAN = """
DELETE FROM bans WHERE channel = %(channel)s AND "user" = %(user)s AND tenant = %(tenant)s RETURNING true
"""
