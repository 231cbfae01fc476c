"""SQL of browser sessions, and of the validity of bots' tokens, which count as sessions.

Indexes: primary keys, `browser_sessions_of_user`, `browser_sessions_by_end`.
"""

_END = "LEAST(ends_at, seen_at + make_interval(secs => idle_seconds))"
_VALID = f"ended_at IS NULL AND now() < {_END}"
_OWN = 'tenant = %(tenant)s AND "user" = %(user)s'
_VIEW = f"id::text, created_at, seen_at, {_END}, user_agent"

# A browser that signs the same user in again keeps its session, so that its sockets stay and one sign-out ends them all.
# The time of issue is never before the last revocation, since a user who signs in after it must be admitted.
BEGIN = f"""
WITH continued AS (
  UPDATE browser_sessions SET seen_at = now(), user_agent = %(user_agent)s, idle_seconds = %(idle)s,
    ends_at = now() + make_interval(secs => %(longest)s)
  WHERE id = %(continues)s AND {_OWN} AND {_VALID} RETURNING *
), begun AS (
  INSERT INTO browser_sessions (tenant, "user", user_agent, idle_seconds, ends_at)
  SELECT %(tenant)s, %(user)s, %(user_agent)s, %(idle)s, now() + make_interval(secs => %(longest)s)
  WHERE NOT EXISTS (SELECT FROM continued) RETURNING *
), revoked AS (
  SELECT revoked_before FROM users WHERE tenant = %(tenant)s AND id = %(user)s
)
SELECT {_VIEW}, EXTRACT(epoch FROM GREATEST(clock_timestamp(), (SELECT revoked_before FROM revoked)))::float8
FROM (SELECT * FROM continued UNION ALL SELECT * FROM begun) AS session
"""

DELETE_OLD = f"""
DELETE FROM browser_sessions WHERE id IN (
  SELECT id FROM browser_sessions WHERE {_OWN} AND NOT ({_VALID}) AND COALESCE(ended_at, now()) < now() - interval '1 minute'
  UNION ALL (SELECT id FROM browser_sessions WHERE tenant = %(tenant)s AND ends_at < now() ORDER BY ends_at LIMIT 100))
"""

END_SURPLUS = f"""
UPDATE browser_sessions SET ended_at = now() WHERE id IN (
  SELECT id FROM browser_sessions WHERE {_OWN} AND {_VALID} ORDER BY seen_at DESC, id OFFSET %(keep)s)
RETURNING id::text
"""

_TODAY = "(now() AT TIME ZONE 'UTC')::date"
_BOT_VALID = "revoked_at IS NULL AND now() < expires_at"

# The third column is whether the use must be written.
VALID = f"""
WITH asked AS (
  SELECT * FROM unnest(%(ids)s::uuid[], %(tenants)s::text[], %(users)s::text[]) AS asked(id, tenant, "user")
)
SELECT id::text, EXTRACT(epoch FROM {_END})::float8, seen_at < now() - make_interval(secs => LEAST(60, idle_seconds / 4))
FROM browser_sessions JOIN asked USING (id, tenant, "user") WHERE {_VALID}
UNION ALL
SELECT t.id::text, EXTRACT(epoch FROM t.expires_at)::float8, t.used_on IS DISTINCT FROM {_TODAY}
FROM bot_tokens t JOIN asked ON asked.id = t.id AND asked.tenant = t.tenant AND asked."user" = t.bot WHERE {_BOT_VALID}
"""

TOUCH = f"""
WITH used AS (
  UPDATE bot_tokens SET used_on = {_TODAY} WHERE id = ANY(%(ids)s::uuid[]) AND {_BOT_VALID}
  RETURNING id::text, EXTRACT(epoch FROM expires_at)::float8
), seen AS (
  UPDATE browser_sessions SET seen_at = now() WHERE id = ANY(%(ids)s::uuid[]) AND {_VALID}
  RETURNING id::text, EXTRACT(epoch FROM {_END})::float8
)
SELECT * FROM used UNION ALL SELECT * FROM seen
"""

LIST = f"""
SELECT {_VIEW} FROM browser_sessions WHERE {_OWN} AND {_VALID} ORDER BY seen_at DESC, id LIMIT %(limit)s
"""

# Sessions that ended a moment ago are named again, so that a caller who was not answered can repeat the call.
_RECENT = "(ended_at IS NULL OR ended_at > now() - interval '1 minute')"

END = f"""
UPDATE browser_sessions SET ended_at = COALESCE(ended_at, now()) WHERE {_OWN} AND id = %(id)s AND {_RECENT} RETURNING id::text
"""

END_OTHERS = f"""
UPDATE browser_sessions SET ended_at = COALESCE(ended_at, now())
WHERE {_OWN} AND id IS DISTINCT FROM %(id)s AND {_RECENT} RETURNING id::text
"""
