"""Users of a tenant. Primary key, `users_by_name`, `users_search`."""

FIND = """
SELECT tenant, id, name, blocked, EXTRACT(epoch FROM revoked_before)::float8
FROM users JOIN unnest(%(tenants)s::text[], %(ids)s::text[]) AS asked(tenant, id) USING (tenant, id)
"""

# In one order everywhere, so that two calls about the same users do not wait for each other in a circle.
UPSERT = """
INSERT INTO users (tenant, id, name)
SELECT * FROM unnest(%(tenants)s::text[], %(ids)s::text[], %(names)s::text[]) AS given(tenant, id, name) ORDER BY tenant, id
ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name
RETURNING tenant, id, name, blocked, EXTRACT(epoch FROM revoked_before)::float8
"""

LIST = """
SELECT id, name, lower(name) FROM users
WHERE tenant = %(tenant)s AND NOT blocked AND (lower(name), id) > (%(after_name)s, %(after_id)s)
  AND (%(pattern)s::text IS NULL OR lower(id || ' ' || name) LIKE %(pattern)s)
ORDER BY lower(name), id LIMIT %(limit)s
"""

KNOWN = """
SELECT id, name FROM users WHERE tenant = %(tenant)s AND id = ANY(%(ids)s)
"""

REVOKE = """
UPDATE users SET revoked_before = clock_timestamp() WHERE tenant = %(tenant)s AND id = %(id)s
RETURNING EXTRACT(epoch FROM revoked_before)::float8, blocked
"""

BLOCK = """
UPDATE users SET blocked = %(blocked)s WHERE tenant = %(tenant)s AND id = %(id)s
RETURNING COALESCE(EXTRACT(epoch FROM revoked_before), 0)::float8, blocked
"""
