"""All SQL of the service. Indexes used: the primary key, `uploads_scanning`, `uploads_pending`."""

UPLOAD = "id, tenant, channel, owner, name, size, type, sha256, state, reason, width, height, thumbnail"
"""Columns of an upload, for `store`."""

CREATE = f"""
INSERT INTO uploads (tenant, channel, owner, name, size, type, sha256)
VALUES (%(tenant)s, %(channel)s, %(owner)s, %(name)s, %(size)s, %(type)s, %(sha256)s)
RETURNING {UPLOAD}
"""

GET = f"""
SELECT {UPLOAD} FROM uploads WHERE id = %(id)s AND tenant = %(tenant)s
"""

FIND = f"""
SELECT {UPLOAD} FROM uploads
WHERE id = ANY(%(ids)s::uuid[]) AND tenant = %(tenant)s AND channel = %(channel)s AND owner = %(owner)s
"""

# Only from `pending`. Repeated calls change nothing.
SCANNING = f"""
UPDATE uploads SET state = 'scanning' WHERE id = %(id)s AND tenant = %(tenant)s AND state = 'pending'
RETURNING {UPLOAD}
"""

# The oldest upload without a valid lease. The lease of a crashed process expires.
TAKE = f"""
UPDATE uploads SET scan_lease_until = now() + make_interval(secs => %(seconds)s), scan_attempts = scan_attempts + 1
WHERE id = (
  SELECT id FROM uploads WHERE state = 'scanning' AND COALESCE(scan_lease_until < now(), true)
  ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING scan_attempts, {UPLOAD}
"""

RENEW = """
UPDATE uploads SET scan_lease_until = now() + make_interval(secs => %(seconds)s) WHERE id = %(id)s AND state = 'scanning'
"""

# The attempt is not counted.
RELEASE = """
UPDATE uploads SET scan_lease_until = NULL, scan_attempts = scan_attempts - 1 WHERE id = %(id)s AND state = 'scanning'
"""

# Only from `scanning`: the first verdict is final.
SETTLE = """
UPDATE uploads SET state = %(state)s, reason = %(reason)s, width = %(width)s, height = %(height)s, thumbnail = %(thumbnail)s
WHERE id = %(id)s AND state = 'scanning'
"""

EXPIRE = f"""
UPDATE uploads SET state = 'failed', reason = 'NEVER_ARRIVED'
WHERE id IN (
  SELECT id FROM uploads WHERE state = 'pending' AND created_at < now() - make_interval(secs => %(seconds)s)
  ORDER BY created_at LIMIT 100 FOR UPDATE SKIP LOCKED)
RETURNING {UPLOAD}
"""

COUNT_SCANNING = """
SELECT count(*) FROM uploads WHERE state = 'scanning'
"""
