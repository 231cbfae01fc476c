"""SQL of the store's epoch: the id that was last declared, and the server's timeline, which every promotion raises."""

_TIMELINE = "left(pg_walfile_name(pg_current_wal_lsn()), 8)"

# An expression, for the statement that numbers or reads entries: so no entry carries the epoch of another statement.
EPOCH = f"(SELECT id || '-' || {_TIMELINE} FROM epoch)"

# Whether the store has never had another epoch.
FIRST = f"(SELECT first AND timeline = {_TIMELINE} FROM epoch)"

CURRENT = f"""
SELECT {EPOCH}, {FIRST}
"""

# No row if the clock is behind the last declaration, since ids must ascend.
DECLARE = f"""
UPDATE epoch SET id = new.id, timeline = {_TIMELINE}, first = false, reason = %(reason)s, declared_at = now()
FROM (SELECT uuidv7() AS id OFFSET 0) new WHERE new.id > epoch.id
RETURNING new.id || '-' || {_TIMELINE}
"""
