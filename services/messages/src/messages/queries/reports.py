"""SQL of reports. The caller has locked the channel for every change.

Indexes: primary key, `reports_open`, `reports_escalated`, `reports_open_by_reporter`, `entries_posted`.
"""

from messages.queries.messages import MESSAGE

# No row when the reporter cannot see the message or it is deleted. `xmax = 0` in a new row only.
REPORT = """
INSERT INTO reports (tenant, channel, message, seq, sender, text, reporter, reason, escalated)
SELECT m.tenant, m.channel, m.id, m.seq, m.sender, m.text, %(reporter)s, %(reason)s, EXISTS (
  SELECT FROM members mb WHERE mb.channel = m.channel AND mb."user" = m.sender AND mb.role = ANY(%(handlers)s))
FROM messages m
WHERE m.id = %(message)s AND m.channel = %(channel)s AND m.tenant = %(tenant)s AND m.seq > %(floor)s AND m.deleted_seq IS NULL
ON CONFLICT (channel, message, reporter) DO UPDATE SET reporter = excluded.reporter
RETURNING id, xmax = 0
"""

_COLUMNS = "id, channel, message, seq, sender, text, reporter, reason, at"
_PAGE = "(%(after)s::uuid IS NULL OR id > %(after)s) ORDER BY id LIMIT %(limit)s"

OPEN = f"""
SELECT {_COLUMNS} FROM reports
WHERE channel = %(channel)s AND tenant = %(tenant)s AND resolved_at IS NULL AND seq > %(floor)s
  AND sender <> %(user)s AND NOT escalated AND {_PAGE}
"""

OPEN_OF_TENANT = f"""
SELECT {_COLUMNS} FROM reports
WHERE tenant = %(tenant)s AND resolved_at IS NULL AND sender <> %(user)s AND escalated AND {_PAGE}
"""

# How many reports of the user are open, without one about this message.
COUNT_OPEN = """
SELECT count(*) FROM reports WHERE tenant = %(tenant)s AND reporter = %(user)s AND resolved_at IS NULL
  AND (channel, message) <> (%(channel)s, %(message)s)
"""

# The reported message and the messages around it, oldest first.
CONTEXT = f"""
SELECT * FROM (
  (SELECT {MESSAGE} FROM messages m
   WHERE m.channel = %(channel)s AND m.tenant = %(tenant)s AND m.seq > %(floor)s AND m.seq <= %(seq)s
   ORDER BY m.seq DESC LIMIT %(around)s + 1)
  UNION ALL
  (SELECT {MESSAGE} FROM messages m
   WHERE m.channel = %(channel)s AND m.tenant = %(tenant)s AND m.seq > %(seq)s ORDER BY m.seq LIMIT %(around)s)
) near ORDER BY seq
"""

# A report that the caller may handle; NULL for the channel when the caller is an administrator.
_HANDLED = """
WHERE id = %(report)s AND tenant = %(tenant)s AND sender <> %(user)s AND CASE WHEN %(channel)s::uuid IS NULL THEN escalated
  ELSE channel = %(channel)s AND seq > %(floor)s AND NOT escalated END"""

RESOLVE = f"""
UPDATE reports SET resolution = %(resolution)s, resolved_at = now(), text = NULL
{_HANDLED} AND resolved_at IS NULL RETURNING channel, message, sender
"""

EXISTS = f"""
SELECT FROM reports {_HANDLED}
"""
