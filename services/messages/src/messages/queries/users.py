"""SQL of users. Indexes: primary key, `users_by_name`."""

FIND = """
SELECT tenant, id, name, blocked, EXTRACT(epoch FROM revoked_before)::float8
FROM users JOIN unnest(%(tenants)s::text[], %(ids)s::text[]) AS requested(tenant, id) USING (tenant, id)
"""

# Always in the same order, so that concurrent calls with the same users cannot deadlock.
UPSERT = """
INSERT INTO users (tenant, id, name)
SELECT * FROM unnest(%(tenants)s::text[], %(ids)s::text[], %(names)s::text[]) AS admitted(tenant, id, name) ORDER BY tenant, id
ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name
RETURNING tenant, id, name, blocked, EXTRACT(epoch FROM revoked_before)::float8
"""

# Walks the users of the tenant by name. An index for the pattern would not be used: LIKE is not leakproof, so row-level security
# is applied first.
LIST = """
SELECT id, name, lower(name) FROM users
WHERE tenant = %(tenant)s AND NOT blocked AND (lower(name), id) > (%(after_name)s, %(after_id)s)
  AND (%(pattern)s::text IS NULL OR lower(id || ' ' || name) LIKE %(pattern)s)
ORDER BY lower(name), id LIMIT %(limit)s
"""

NAMES = """
SELECT id, name FROM users WHERE tenant = %(tenant)s AND id = ANY(%(ids)s)
"""

SEEN_AHEAD = """
UPDATE users SET seen_ahead = to_timestamp(%(issued)s)
WHERE tenant = %(tenant)s AND id = %(id)s AND (seen_ahead IS NULL OR seen_ahead < to_timestamp(%(issued)s))
"""

# Void is every token issued before now, and every one that was seen before although its issuer's clock is ahead. A token that
# is issued afterwards is later than both.
REVOKE = """
UPDATE users SET revoked_before = GREATEST(clock_timestamp(), seen_ahead + interval '1 millisecond')
WHERE tenant = %(tenant)s AND id = %(id)s
RETURNING EXTRACT(epoch FROM revoked_before)::float8, blocked
"""

BLOCK = """
UPDATE users SET blocked = %(blocked)s WHERE tenant = %(tenant)s AND id = %(id)s
RETURNING COALESCE(EXTRACT(epoch FROM revoked_before), 0)::float8, blocked
"""
