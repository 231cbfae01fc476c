"""SQL of bots, their tokens, and incoming webhooks. Indexes: primary keys, `bots_of_channel`, `bot_tokens_*`."""

_BOT = "b.id, u.name, u.blocked, b.channel::text, b.creator, b.created_at"
_SHOWN = """
id::text, name, scopes, creator, created_at, CASE WHEN isfinite(expires_at) THEN expires_at END, used_on::text
"""
_LIVE = "revoked_at IS NULL AND now() < expires_at"
_OF_BOT = "tenant = %(tenant)s AND bot = %(bot)s"

CREATE = """
WITH made AS (INSERT INTO users (tenant, id, name) VALUES (%(tenant)s, %(bot)s, %(name)s) RETURNING tenant, id)
INSERT INTO bots (tenant, id, channel, creator) SELECT tenant, id, %(channel)s, %(creator)s FROM made
"""

# Concurrent calls wait for each other here, so that the limits on bots and tokens hold.
LOCK = """
SELECT pg_advisory_xact_lock(hashtextextended('bots ' || %(tenant)s, 0))
"""

COUNT = """
SELECT count(*), count(*) FILTER (WHERE channel = %(channel)s) FROM bots WHERE tenant = %(tenant)s AND removed_at IS NULL
"""

LIST = f"""
SELECT {_BOT} FROM bots b JOIN users u ON u.tenant = b.tenant AND u.id = b.id
WHERE b.tenant = %(tenant)s AND b.id > %(after)s AND b.removed_at IS NULL ORDER BY b.id LIMIT %(limit)s
"""

FIND = f"""
SELECT {_BOT} FROM bots b JOIN users u ON u.tenant = b.tenant AND u.id = b.id
WHERE b.tenant = %(tenant)s AND b.id = %(bot)s AND b.removed_at IS NULL
"""

RENAME = """
UPDATE users SET name = %(name)s WHERE tenant = %(tenant)s AND id = %(bot)s
"""

# Tokens that ended more than a minute ago are forgotten; until then their revocation can be repeated.
DELETE_OLD_TOKENS = f"""
DELETE FROM bot_tokens WHERE {_OF_BOT} AND LEAST(revoked_at, expires_at) < now() - interval '1 minute'
"""

CREATE_TOKEN = f"""
INSERT INTO bot_tokens (tenant, bot, name, digest, scopes, creator, created_at, expires_at)
SELECT %(tenant)s, %(bot)s, %(name)s, %(digest)s, %(scopes)s::text[], %(creator)s, begun,
  CASE WHEN %(seconds)s::bigint = 0 THEN 'infinity' ELSE begun + make_interval(secs => %(seconds)s::bigint) END
FROM (SELECT GREATEST(clock_timestamp(), revoked_before) AS begun FROM users WHERE tenant = %(tenant)s AND id = %(bot)s) AS now
RETURNING {_SHOWN}
"""

TOKENS = f"""
SELECT {_SHOWN} FROM bot_tokens WHERE {_OF_BOT} AND {_LIVE} ORDER BY created_at, id
"""

# Names a token that has been revoked already, so that a caller who was not answered can repeat the call.
REVOKE_TOKEN = f"""
UPDATE bot_tokens SET revoked_at = COALESCE(revoked_at, now()) WHERE {_OF_BOT} AND id = %(token)s RETURNING id::text
"""

REVOKE_TOKENS = f"""
UPDATE bot_tokens SET revoked_at = COALESCE(revoked_at, now()) WHERE {_OF_BOT} RETURNING id::text
"""

IDENTIFY = f"""
SELECT b.id, t.id::text, EXTRACT(epoch FROM t.created_at)::float8, EXTRACT(epoch FROM t.expires_at)::float8, t.scopes,
  b.channel::text, u.blocked
FROM bot_tokens t JOIN bots b ON b.tenant = t.tenant AND b.id = t.bot JOIN users u ON u.tenant = b.tenant AND u.id = b.id
WHERE t.tenant = %(tenant)s AND t.digest = %(digest)s AND {_LIVE}
"""

_HOOK = """
b.id, u.name, u.blocked, b.creator, b.created_at,
  (SELECT t.used_on::text FROM bot_tokens t WHERE t.tenant = b.tenant AND t.bot = b.id AND t.revoked_at IS NULL)
"""

HOOKS = f"""
SELECT {_HOOK} FROM bots b JOIN users u ON u.tenant = b.tenant AND u.id = b.id
WHERE b.channel = %(channel)s AND b.tenant = %(tenant)s AND b.removed_at IS NULL ORDER BY b.created_at, b.id
"""

# Finds one that has been removed already, so that its removal can be repeated.
HOOK = f"""
SELECT {_HOOK}, b.removed_at IS NOT NULL FROM bots b JOIN users u ON u.tenant = b.tenant AND u.id = b.id
WHERE b.tenant = %(tenant)s AND b.id = %(bot)s AND b.channel = %(channel)s
"""

REMOVE = """
UPDATE bots SET removed_at = COALESCE(removed_at, now()) WHERE tenant = %(tenant)s AND id = %(bot)s
"""
