"""SQL of users. Indexes: primary key, `users_by_name`, `user_words_found`."""

FIND = """
SELECT tenant, id, name, blocked, EXTRACT(epoch FROM revoked_before)::float8, issued_ahead
FROM users JOIN unnest(%(tenants)s::text[], %(ids)s::text[]) AS requested(tenant, id) USING (tenant, id)
"""

# Always in the same order, so that concurrent calls with the same users cannot deadlock.
UPSERT = """
INSERT INTO users (tenant, id, name, issued_ahead)
SELECT * FROM unnest(%(tenants)s::text[], %(ids)s::text[], %(names)s::text[], %(ahead)s::boolean[])
  AS admitted(tenant, id, name, ahead) ORDER BY tenant, id
ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, issued_ahead = users.issued_ahead OR excluded.issued_ahead,
  revoked_before = users.revoked_before + make_interval(
    secs => CASE WHEN excluded.issued_ahead AND NOT users.issued_ahead THEN %(fast)s ELSE 0 END)
RETURNING tenant, id, name, blocked, EXTRACT(epoch FROM revoked_before)::float8, issued_ahead
"""

LIST = """
SELECT id, name, lower(name) FROM users
WHERE tenant = %(tenant)s AND NOT blocked AND (lower(name), id) > (%(after_name)s, %(after_id)s)
ORDER BY lower(name), id LIMIT %(limit)s
"""

# Users of whose name or id a word begins with the query: a page, by name, of those that the first `considered` words belong to.
SEARCH = """
SELECT u.id, u.name, page.sort_name FROM (
  SELECT DISTINCT sort_name, "user" FROM (
    SELECT sort_name, "user" FROM user_words
    WHERE tenant = %(tenant)s AND word >= lower(%(query)s) AND word <= lower(%(query)s) || %(last)s
    ORDER BY word, sort_name, "user" LIMIT %(considered)s) found
  WHERE (sort_name, "user") > (%(after_name)s, %(after_id)s)
  ORDER BY sort_name, "user" LIMIT %(limit)s) page
CROSS JOIN LATERAL (SELECT id, name FROM users WHERE users.tenant = %(tenant)s AND users.id = page."user" OFFSET 0) u
ORDER BY page.sort_name, page."user"
"""

NAMES = """
SELECT id, name FROM users WHERE tenant = %(tenant)s AND id = ANY(%(ids)s)
"""

REVOKE = """
UPDATE users SET revoked_before = clock_timestamp() + make_interval(secs => CASE WHEN issued_ahead THEN %(fast)s ELSE 0 END)
WHERE tenant = %(tenant)s AND id = %(id)s
RETURNING EXTRACT(epoch FROM revoked_before)::float8, blocked
"""

BLOCK = """
UPDATE users SET blocked = %(blocked)s WHERE tenant = %(tenant)s AND id = %(id)s
RETURNING COALESCE(EXTRACT(epoch FROM revoked_before), 0)::float8, blocked
"""
