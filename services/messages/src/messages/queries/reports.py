"""SQL of reports. The caller has locked the channel for every change. Indexes: primary key, `reports_open`, `entries_posted`."""

from messages.queries.messages import MESSAGE

# No row when the reporter cannot see the message or it is deleted. `xmax = 0` in a new row only.
REPORT = """
INSERT INTO reports (tenant, channel, message, seq, sender, text, reporter, reason)
SELECT m.tenant, m.channel, m.id, m.seq, m.sender, m.text, %(reporter)s, %(reason)s FROM messages m
WHERE m.id = %(message)s AND m.channel = %(channel)s AND m.tenant = %(tenant)s AND m.seq > %(floor)s AND m.deleted_seq IS NULL
ON CONFLICT (channel, message, reporter) DO UPDATE SET reporter = excluded.reporter
RETURNING id, xmax = 0
"""

OPEN = """
SELECT id, message, seq, sender, text, reporter, reason, at FROM reports
WHERE channel = %(channel)s AND tenant = %(tenant)s AND resolved_at IS NULL AND seq > %(floor)s
  AND (%(after)s::uuid IS NULL OR id > %(after)s)
ORDER BY id LIMIT %(limit)s
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

RESOLVE = """
UPDATE reports SET resolution = %(resolution)s, resolved_at = now(), text = NULL
WHERE id = %(report)s AND channel = %(channel)s AND tenant = %(tenant)s AND seq > %(floor)s AND resolved_at IS NULL
RETURNING message, sender
"""

EXISTS = """
SELECT FROM reports WHERE id = %(report)s AND channel = %(channel)s AND tenant = %(tenant)s AND seq > %(floor)s
"""
