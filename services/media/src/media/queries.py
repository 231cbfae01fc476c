"""All SQL of the service."""

UPLOAD = "id, tenant, channel, owner, name, size, type, sha256, state, reason, width, height, thumbnail, kept_sha256"
"""Columns of an upload, for `store`."""

# A trigger adds it to `usage`, and so locks the usage of the tenant and of the owner until the transaction ends.
CREATE = f"""
INSERT INTO uploads (tenant, channel, owner, name, size, type, sha256)
VALUES (%(tenant)s, %(channel)s, %(owner)s, %(name)s, %(size)s, %(type)s, %(sha256)s)
RETURNING {UPLOAD}
"""

# `uploads_announced`. Counting stops one row beyond the limit.
USAGE = """
SELECT own.bytes, whole.bytes, own.open, whole.open, recent.announced, COALESCE(recent.oldest, 0)
FROM usage own
JOIN usage whole ON whole.tenant = own.tenant AND whole.owner = ''
CROSS JOIN (
  SELECT count(*) AS announced, extract(epoch FROM now() - min(created_at))::double precision AS oldest
  FROM (
    SELECT created_at FROM uploads
    WHERE tenant = %(tenant)s AND owner = %(owner)s AND created_at > now() - make_interval(secs => %(seconds)s)
    ORDER BY created_at DESC LIMIT %(limit)s + 1) newest) recent
WHERE own.tenant = %(tenant)s AND own.owner = %(owner)s
"""

GET = f"""
SELECT {UPLOAD} FROM uploads WHERE id = %(id)s AND tenant = %(tenant)s
"""

FIND = f"""
SELECT {UPLOAD} FROM uploads
WHERE id = ANY(%(ids)s::uuid[]) AND tenant = %(tenant)s AND channel = %(channel)s AND owner = %(owner)s
"""

# Only from `pending`: a repeated call changes nothing.
SCANNING = f"""
UPDATE uploads SET state = 'scanning' WHERE id = %(id)s AND tenant = %(tenant)s AND state = 'pending'
RETURNING {UPLOAD}
"""

# `uploads_waiting`, one step for each owner however many uploads they have.
WAITING = """
WITH RECURSIVE owners AS (
  (SELECT tenant, owner FROM uploads WHERE state = 'scanning' ORDER BY tenant, owner LIMIT 1)
  UNION ALL
  SELECT following.tenant, following.owner
  FROM owners CROSS JOIN LATERAL (
    SELECT tenant, owner FROM uploads
    WHERE state = 'scanning' AND (tenant, owner) > (owners.tenant, owners.owner)
    ORDER BY tenant, owner LIMIT 1) following)
SELECT tenant, owner FROM owners
"""

# `uploads_waiting`: the owner's smallest without a lease, of other types than `except`. A scanner that died loses its lease.
TAKE = f"""
UPDATE uploads SET scan_lease_until = now() + make_interval(secs => %(seconds)s), scan_attempts = scan_attempts + 1
WHERE id = (
  SELECT id FROM uploads
  WHERE state = 'scanning' AND tenant = %(tenant)s AND owner = %(owner)s AND COALESCE(scan_lease_until < now(), true)
    AND type <> ALL(%(except)s)
  ORDER BY size, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING scan_attempts, {UPLOAD}
"""

RENEW = """
UPDATE uploads SET scan_lease_until = now() + make_interval(secs => %(seconds)s) WHERE id = %(id)s AND state = 'scanning'
"""

# The attempt does not count.
RELEASE = """
UPDATE uploads SET scan_lease_until = NULL, scan_attempts = scan_attempts - 1 WHERE id = %(id)s AND state = 'scanning'
"""

# Only from `scanning`: the first verdict stands.
SETTLE = """
UPDATE uploads
SET state = %(state)s, reason = %(reason)s, width = %(width)s, height = %(height)s, thumbnail = %(thumbnail)s,
    kept_sha256 = %(kept_sha256)s
WHERE id = %(id)s AND state = 'scanning'
"""

# `uploads_pending`. One at a time: the trigger locks one tenant's usage, so two sweeps cannot deadlock.
EXPIRE = """
UPDATE uploads SET state = 'failed', reason = 'NEVER_ARRIVED'
WHERE id = (
  SELECT id FROM uploads WHERE state = 'pending' AND created_at < now() - make_interval(secs => %(seconds)s)
  ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
"""

AWAITED = """
SELECT id FROM uploads WHERE id = ANY(%(ids)s::uuid[]) AND state IN ('pending', 'scanning')
"""

COUNT_SCANNING = """
SELECT count(*) FROM uploads WHERE state = 'scanning'
"""
