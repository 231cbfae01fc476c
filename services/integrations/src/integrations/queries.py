"""All SQL of the service."""

WEBHOOK = """id, tenant, url, description, events, channel_kinds, channels, state, reason, created_by, created_at, waiting, dead,
  failing_since, CASE WHEN previous_until > now() THEN previous_until END"""
"""Columns of a webhook, for `store`."""
DELIVERY = "id, number, webhook, channel, seq, event, state, attempts, created_at, next_at, finished_at, status, outcome"
"""Columns of a delivery, for `store`."""

# Administration. `webhooks_tenant`.

SERIALIZE = """
SELECT pg_advisory_xact_lock(hashtextextended('webhooks of ' || %(tenant)s, 0))
"""

COUNT = """
SELECT count(*) FROM webhooks WHERE tenant = %(tenant)s
"""

CREATE = f"""
INSERT INTO webhooks (tenant, url, description, events, channel_kinds, channels, secret, created_by)
VALUES (%(tenant)s, %(url)s, %(description)s, %(events)s, %(channel_kinds)s, %(channels)s, %(secret)s, %(user)s)
RETURNING {WEBHOOK}
"""

LIST = f"""
SELECT {WEBHOOK} FROM webhooks WHERE tenant = %(tenant)s AND id > %(after)s ORDER BY id LIMIT %(limit)s
"""

GET = f"""
SELECT {WEBHOOK} FROM webhooks WHERE id = %(webhook)s AND tenant = %(tenant)s
"""

LOCK = """
SELECT waiting + dead, kept_bytes FROM webhooks WHERE id = %(webhook)s AND tenant = %(tenant)s FOR UPDATE
"""

CHANGE = f"""
UPDATE webhooks
SET url = %(url)s, description = %(description)s, events = %(events)s, channel_kinds = %(channel_kinds)s, channels = %(channels)s
WHERE id = %(webhook)s AND tenant = %(tenant)s
RETURNING {WEBHOOK}
"""

# Enabled, it is no longer failing, so its deliveries are attempted several at a time again.
SET_STATE = f"""
UPDATE webhooks
SET state = %(state)s, reason = %(reason)s, failing_since = NULL,
  due_at = CASE WHEN %(state)s = 'active' AND waiting > 0 THEN now() WHEN %(state)s = 'disabled' THEN NULL ELSE due_at END
WHERE id = %(webhook)s AND tenant = %(tenant)s
RETURNING {WEBHOOK}
"""

DELETE = """
DELETE FROM webhooks WHERE id = %(webhook)s AND tenant = %(tenant)s
"""

ROTATE = f"""
UPDATE webhooks
SET secret = %(secret)s, previous_secret = secret, previous_until = now() + make_interval(secs => %(seconds)s)
WHERE id = %(webhook)s AND tenant = %(tenant)s
RETURNING {WEBHOOK}
"""

# `deliveries_listed`.
LIST_DELIVERIES = f"""
SELECT {DELIVERY} FROM deliveries
WHERE webhook = %(webhook)s AND tenant = %(tenant)s AND number < %(before)s AND (%(state)s = '' OR state = %(state)s)
ORDER BY number DESC LIMIT %(limit)s
"""

GET_DELIVERY = f"""
SELECT {DELIVERY}, COALESCE(body, ''), answer FROM deliveries
WHERE id = %(delivery)s AND webhook = %(webhook)s AND tenant = %(tenant)s
"""

# `deliveries_listed`. A letter that is sent again keeps its place in the order of its channel.
REVIVE = """
UPDATE deliveries SET state = 'waiting', attempts = 0, first_at = NULL, next_at = now(), finished_at = NULL
WHERE webhook = %(webhook)s AND state = 'dead' AND (%(delivery)s::uuid IS NULL OR id = %(delivery)s)
RETURNING channel
"""

REVIVED = """
UPDATE webhooks
SET waiting = waiting + %(count)s, dead = dead - %(count)s, due_at = CASE WHEN state <> 'disabled' THEN now() ELSE due_at END
WHERE id = %(webhook)s
"""

# Adding events.

# A process that holds the lease extends it.
LEASE_FEED = """
UPDATE feed_lease SET lease = %(lease)s, leased_until = now() + make_interval(secs => %(seconds)s)
WHERE lease = %(lease)s OR leased_until < now()
"""

RELEASE_FEED = """
UPDATE feed_lease SET leased_until = '-infinity' WHERE lease = %(lease)s
"""

# `webhooks_tenant`. In the order of ids, so that two transactions cannot deadlock.
LOCK_ACTIVE = """
SELECT id, tenant, events, channel_kinds, channels, waiting + dead, kept_bytes FROM webhooks
WHERE tenant = ANY(%(tenants)s) AND state = 'active'
ORDER BY id FOR UPDATE
"""

# In the order of the arrays. An event that a webhook has already is not added again.
ADD = """
INSERT INTO deliveries (tenant, webhook, channel, epoch, seq, event, body)
SELECT tenant, webhook, channel, epoch, seq, event, body
FROM unnest(%(tenants)s::text[], %(webhooks)s::uuid[], %(channels)s::text[], %(epochs)s::text[], %(seqs)s::bigint[],
  %(events)s::text[], %(bodies)s::bytea[]) WITH ORDINALITY AS given (tenant, webhook, channel, epoch, seq, event, body, place)
ORDER BY place
ON CONFLICT (webhook, channel, epoch, seq) DO NOTHING
RETURNING webhook, octet_length(body)
"""

# `deliveries_waiting`, one step for each channel: its first that waits becomes the head, and no other is.
PROMOTE = """
WITH lanes AS (
  SELECT DISTINCT webhook, channel FROM unnest(%(webhooks)s::uuid[], %(channels)s::text[]) AS given (webhook, channel)),
firsts AS (
  SELECT lanes.webhook, lanes.channel, first.id
  FROM lanes CROSS JOIN LATERAL (
    SELECT id FROM deliveries
    WHERE webhook = lanes.webhook AND channel = lanes.channel AND state = 'waiting'
    ORDER BY number LIMIT 1) first)
UPDATE deliveries SET head = deliveries.id = firsts.id
FROM firsts
WHERE deliveries.webhook = firsts.webhook AND deliveries.channel = firsts.channel AND deliveries.state = 'waiting'
  AND (deliveries.id = firsts.id OR deliveries.head) AND deliveries.head <> (deliveries.id = firsts.id)
"""

ADDED = """
UPDATE webhooks
SET waiting = waiting + given.count, kept_bytes = kept_bytes + given.bytes, due_at = LEAST(due_at, now())
FROM unnest(%(webhooks)s::uuid[], %(counts)s::integer[], %(bytes)s::bigint[]) AS given (id, count, bytes)
WHERE webhooks.id = given.id
"""

SUSPEND = """
UPDATE webhooks SET state = 'suspended', reason = 'backlog' WHERE id = ANY(%(webhooks)s::uuid[])
"""

# Making attempts.

# `webhooks_due`.
LEASE = """
UPDATE webhooks SET lease = %(lease)s, leased_until = now() + make_interval(secs => %(seconds)s)
WHERE id IN (
  SELECT id FROM webhooks WHERE due_at <= now() AND leased_until < now()
  ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING tenant, id
"""

# `webhooks_leased`.
EXTEND_ALL = """
UPDATE webhooks SET leased_until = now() + make_interval(secs => %(seconds)s) WHERE lease = %(lease)s
"""

# `webhooks_leased`.
RELEASE_ALL = """
UPDATE webhooks SET lease = NULL, leased_until = '-infinity' WHERE lease = %(lease)s
"""

TARGET = """
SELECT url, secret, CASE WHEN previous_until > now() THEN previous_secret END, failing_since FROM webhooks
WHERE id = %(webhook)s AND lease = %(lease)s AND state <> 'disabled'
"""

# `deliveries_due`.
HEADS = """
SELECT id, channel, event, body, attempts, COALESCE(extract(epoch FROM now() - first_at), 0)::double precision FROM deliveries
WHERE webhook = %(webhook)s AND state = 'waiting' AND head AND next_at <= now()
ORDER BY next_at LIMIT %(limit)s
"""

LOCK_LEASED = """
SELECT extract(epoch FROM now() - failing_since)::double precision FROM webhooks
WHERE id = %(webhook)s AND lease = %(lease)s FOR UPDATE
"""

# Delivered or dead: the next of the channel becomes the head (`PROMOTE`).
FINISH = """
UPDATE deliveries
SET state = %(state)s, head = false, finished_at = now(), attempts = attempts + 1, status = %(status)s, outcome = %(outcome)s,
  answer = %(answer)s, body = CASE WHEN %(state)s = 'dead' THEN body END
WHERE id = %(id)s AND state = 'waiting'
RETURNING octet_length(old.body)
"""

RETRY = """
UPDATE deliveries
SET attempts = attempts + 1, first_at = COALESCE(first_at, now()), next_at = now() + make_interval(secs => %(wait)s),
  status = %(status)s, outcome = %(outcome)s, answer = %(answer)s
WHERE id = %(id)s AND state = 'waiting'
"""

SETTLE = """
UPDATE webhooks
SET waiting = waiting - %(delivered)s - %(died)s, dead = dead + %(died)s, kept_bytes = kept_bytes - %(bytes)s,
  failing_since = CASE WHEN %(failing)s THEN COALESCE(failing_since, now()) END,
  state = COALESCE(%(state)s, state), reason = COALESCE(%(reason)s, reason)
WHERE id = %(webhook)s
"""

# `deliveries_due`.
RELEASE = """
UPDATE webhooks
SET lease = NULL, leased_until = '-infinity',
  due_at = CASE WHEN state <> 'disabled' THEN (
    SELECT next_at FROM deliveries WHERE webhook = webhooks.id AND state = 'waiting' AND head ORDER BY next_at LIMIT 1) END
WHERE id = %(webhook)s AND lease = %(lease)s
"""

# Sweeping. `deliveries_finished`.

SWEEP_DELIVERED = """
DELETE FROM deliveries
WHERE id IN (
  SELECT id FROM deliveries
  WHERE finished_at < now() - make_interval(days => %(days)s) AND state = 'delivered' LIMIT %(limit)s)
"""

OLD_DEAD = """
SELECT DISTINCT tenant, webhook FROM deliveries
WHERE finished_at < now() - make_interval(days => %(days)s) AND state = 'dead' LIMIT %(limit)s
"""

SWEEP_DEAD = """
WITH old AS (
  DELETE FROM deliveries
  WHERE webhook = %(webhook)s AND state = 'dead' AND finished_at < now() - make_interval(days => %(days)s)
  RETURNING octet_length(body) AS bytes)
UPDATE webhooks SET dead = dead - counted.count, kept_bytes = kept_bytes - counted.bytes
FROM (SELECT count(*)::integer AS count, COALESCE(sum(bytes), 0)::bigint AS bytes FROM old) counted
WHERE id = %(webhook)s
"""

# `webhooks_due`.
COUNT_DUE = """
SELECT COALESCE(max(extract(epoch FROM now() - due_at)), 0)::double precision FROM webhooks WHERE due_at <= now()
"""

# `invocations_expired`.
SWEEP_INVOCATIONS = """
DELETE FROM invocations WHERE expires_at < now()
"""

# Slash commands. The unique index of tenant and name.

COMMAND = "id, tenant, name, description, hint, url, bot, created_by, created_at"
"""Columns of a command, for `command_store`."""

COUNT_COMMANDS = """
SELECT count(*) FROM commands WHERE tenant = %(tenant)s
"""

CREATE_COMMAND = f"""
INSERT INTO commands (tenant, name, description, hint, url, bot, secret, created_by)
VALUES (%(tenant)s, %(name)s, %(description)s, %(hint)s, %(url)s, %(bot)s, %(secret)s, %(user)s)
ON CONFLICT (tenant, name) DO NOTHING
RETURNING {COMMAND}
"""

LIST_COMMANDS = f"""
SELECT {COMMAND} FROM commands WHERE tenant = %(tenant)s ORDER BY name
"""

GET_COMMAND = f"""
SELECT {COMMAND}, secret FROM commands WHERE tenant = %(tenant)s AND name = %(name)s
"""

DELETE_COMMAND = """
DELETE FROM commands WHERE id = %(command)s AND tenant = %(tenant)s
"""

INVOKE = """
INSERT INTO invocations (token, tenant, channel, bot, message, expires_at)
VALUES (%(token)s, %(tenant)s, %(channel)s, %(bot)s, %(message)s, now() + make_interval(secs => %(seconds)s))
"""

ANSWER = """
UPDATE invocations SET answers = answers + 1
WHERE token = %(token)s AND tenant = %(tenant)s AND expires_at > now() AND answers < %(most)s
RETURNING channel, bot, message
"""

# Endpoints of actions. The unique index of tenant and bot.

_ACTION_ENDPOINT = "id, tenant, bot, url, created_by, created_at"
"""Columns of an endpoint, for `action_store`."""

COUNT_ACTION_ENDPOINTS = """
SELECT count(*) FROM action_endpoints WHERE tenant = %(tenant)s
"""

CREATE_ACTION_ENDPOINT = f"""
INSERT INTO action_endpoints (tenant, bot, url, secret, created_by)
VALUES (%(tenant)s, %(bot)s, %(url)s, %(secret)s, %(user)s)
ON CONFLICT (tenant, bot) DO NOTHING
RETURNING {_ACTION_ENDPOINT}
"""

LIST_ACTION_ENDPOINTS = f"""
SELECT {_ACTION_ENDPOINT} FROM action_endpoints WHERE tenant = %(tenant)s ORDER BY bot
"""

GET_ACTION_ENDPOINT = """
SELECT url, secret FROM action_endpoints WHERE tenant = %(tenant)s AND bot = %(bot)s
"""

DELETE_ACTION_ENDPOINT = """
DELETE FROM action_endpoints WHERE id = %(endpoint)s AND tenant = %(tenant)s
"""

# The audit log. `audit_tenant`.

RECORD = """
INSERT INTO audit (tenant, actor, action, subject, reason)
SELECT %(tenant)s, %(actor)s, %(action)s, subject, %(reason)s FROM unnest(%(subjects)s::uuid[]) AS given (subject)
"""

LIST_AUDIT = """
SELECT number, at, actor, action, subject, reason FROM audit
WHERE tenant = %(tenant)s AND number > %(after)s ORDER BY number LIMIT %(limit)s
"""
