"""SQL of members and bans. The caller has locked the channel for every change. Indexes: primary keys, `members_by_name`."""

# A page of members by (role, name, id). Reads no further than the page in each role: `members_by_name` has the order, and
# `role <> ''` in its predicate.
PAGE = """
SELECT page."user", u.name, page.role, page.sort_name
FROM unnest(%(roles)s::text[]) WITH ORDINALITY AS ranked(role, rank)
CROSS JOIN LATERAL (
  SELECT mb."user", mb.role, mb.sort_name, mb.tenant FROM members mb
  WHERE mb.channel = %(channel)s AND mb.tenant = %(tenant)s AND mb.role = ranked.role AND mb.role <> ''
    AND (mb.sort_name, mb."user") > (
      CASE WHEN ranked.role = %(after_role)s THEN %(after_name)s ELSE '' END,
      CASE WHEN ranked.role = %(after_role)s THEN %(after_user)s ELSE '' END)
    AND mb.sort_name >= %(prefix)s AND mb.sort_name <= %(prefix)s || %(last)s
  ORDER BY mb.sort_name, mb."user" LIMIT %(limit)s) page
JOIN users u ON u.tenant = page.tenant AND u.id = page."user"
ORDER BY ranked.rank, page.sort_name, page."user" LIMIT %(limit)s
"""

FIND = """
SELECT mb."user", u.name, mb.role FROM members mb JOIN users u ON u.tenant = mb.tenant AND u.id = mb."user"
WHERE mb.channel = %(channel)s AND mb.tenant = %(tenant)s AND mb."user" = ANY(%(users)s)
"""

# A user who joins has neither left nor is still invited.
ADD = """
WITH welcome AS (DELETE FROM departures WHERE channel = %(channel)s AND "user" = ANY(%(users)s::text[])),
accepted AS (DELETE FROM invitations WHERE channel = %(channel)s AND "user" = ANY(%(users)s::text[])),
counted AS (UPDATE channels SET members = members + cardinality(%(users)s::text[]) WHERE id = %(channel)s)
INSERT INTO members (channel, "user", tenant, role, joined_seq, read_seq, silenced_until, put_in, sort_name)
SELECT %(channel)s, joining."user", %(tenant)s, joining.role, joining.seq, joining.read, (
  SELECT s.until FROM silences s WHERE s.channel = %(channel)s AND s."user" = joining."user"), joining."user" <> %(actor)s,
  lower(u.name)
FROM unnest(%(users)s::text[], %(roles)s::text[], %(seqs)s::bigint[], %(reads)s::bigint[]) AS joining("user", role, seq, read)
JOIN users u ON u.tenant = %(tenant)s AND u.id = joining."user"
"""

SET_ROLE = """
UPDATE members SET role = %(role)s WHERE channel = %(channel)s AND "user" = %(user)s AND tenant = %(tenant)s
"""

BEGIN_COUNTING_READERS = """
INSERT INTO seen (channel, tenant, seq, readers)
SELECT ch.id, ch.tenant, ch.last_post, (
  SELECT count(*) FROM members mb WHERE mb.channel = ch.id AND mb.read_seq >= ch.last_post AND mb.joined_seq <= ch.last_post
    AND mb."user" <> newest.actor)
FROM channels ch JOIN entries newest ON newest.channel = ch.id AND newest.seq = ch.last_post
WHERE ch.id = %(channel)s AND ch.tenant = %(tenant)s
ON CONFLICT (channel) DO UPDATE SET seq = excluded.seq, readers = excluded.readers
"""

REMOVE = """
WITH gone AS (
  DELETE FROM members WHERE channel = %(channel)s AND "user" = %(user)s AND tenant = %(tenant)s RETURNING channel
)
UPDATE channels SET members = members - 1 FROM gone WHERE channels.id = gone.channel
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

# What decides whether a user may be put into a channel by `actor`. `invited` is NULL, or whether the invitation was declined.
CANDIDATES = """
SELECT joining."user",
  EXISTS (SELECT FROM blocks b WHERE b.tenant = %(tenant)s AND b.blocked = %(actor)s AND b."user" = joining."user"),
  (SELECT count(*) FROM members mb WHERE mb.tenant = %(tenant)s AND mb."user" = joining."user"),
  (SELECT count(*) FROM members mb WHERE mb.tenant = %(tenant)s AND mb."user" = joining."user"
    AND mb.put_in AND mb.last_posted_at IS NULL),
  EXISTS (SELECT FROM departures d WHERE d.channel = %(channel)s AND d."user" = joining."user"),
  (SELECT i.declined FROM invitations i WHERE i.channel = %(channel)s AND i."user" = joining."user"),
  (SELECT count(*) FROM invitations i WHERE i.tenant = %(tenant)s AND i."user" = joining."user" AND NOT i.declined),
  CASE WHEN %(consent)s THEN NOT EXISTS (
    SELECT FROM members theirs JOIN members ours ON ours.channel = theirs.channel AND ours."user" = %(actor)s
    WHERE theirs.tenant = %(tenant)s AND theirs."user" = joining."user"
      AND (NOT theirs.put_in OR theirs.last_posted_at IS NOT NULL)) ELSE false END
FROM unnest(%(users)s::text[]) AS joining("user")
"""

# The members that the user has added in the present hour, and the seconds until it ends.
COUNT_ADDED = """
INSERT INTO additions AS a (tenant, "user", since, added) VALUES (%(tenant)s, %(user)s, now(), %(added)s)
ON CONFLICT (tenant, "user") DO UPDATE SET
  since = CASE WHEN a.since > now() - interval '1 hour' THEN a.since ELSE now() END,
  added = CASE WHEN a.since > now() - interval '1 hour' THEN a.added ELSE 0 END + excluded.added
RETURNING added, EXTRACT(epoch FROM since + interval '1 hour' - now())::float8
"""

# The new ones.
INVITE = """
WITH invited AS (
  INSERT INTO invitations (channel, "user", tenant, inviter, role)
  SELECT %(channel)s, invited, %(tenant)s, %(actor)s, %(role)s FROM unnest(%(users)s::text[]) AS invited
  ON CONFLICT (channel, "user") DO NOTHING RETURNING *)
SELECT i."user", ch.id, ch.kind, ch.name, i.inviter, i.role, i.at FROM invited i JOIN channels ch ON ch.id = i.channel
"""

INVITATION = """
SELECT role FROM invitations WHERE channel = %(channel)s AND "user" = %(user)s AND tenant = %(tenant)s
"""

DECLINE = """
UPDATE invitations SET declined = true
WHERE channel = %(channel)s AND "user" = %(user)s AND tenant = %(tenant)s RETURNING true
"""

INVITATIONS = """
SELECT ch.id, ch.kind, ch.name, i.inviter, i.role, i.at FROM invitations i JOIN channels ch ON ch.id = i.channel
WHERE i.tenant = %(tenant)s AND i."user" = %(user)s AND NOT i.declined
  AND (%(after)s::uuid IS NULL OR i.channel > %(after)s) ORDER BY i.channel LIMIT %(limit)s
"""

DEPART = """
INSERT INTO departures (channel, "user", tenant) VALUES (%(channel)s, %(user)s, %(tenant)s) ON CONFLICT DO NOTHING
"""

# Whether the member is silenced, and the seconds until slow mode permits their next words.
SPEECH = """
SELECT COALESCE(mb.silenced_until > now(), false), CASE WHEN ch.slow_mode_seconds > 0 THEN
  EXTRACT(epoch FROM mb.last_posted_at + make_interval(secs => ch.slow_mode_seconds) - now())::float8 END
FROM members mb JOIN channels ch ON ch.id = mb.channel
WHERE mb.channel = %(channel)s AND mb."user" = %(user)s AND mb.tenant = %(tenant)s
"""

SPOKE = """
UPDATE members SET last_posted_at = now() WHERE channel = %(channel)s AND "user" = %(user)s AND tenant = %(tenant)s
"""
