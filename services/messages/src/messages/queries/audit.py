"""SQL of the audit log. Indexes: primary keys."""

APPEND = """
SELECT audit_append(%(tenant)s, %(actor)s, %(action)s, %(channel)s, %(subject)s, %(details)s)
"""

PAGE = """
SELECT a.tenant, a.number, a.at, COALESCE(actor."user", a.actor), a.action, a.channel, COALESCE(subject."user", a.subject),
  a.details, a.previous, a.digest, a.seal, a.actor, a.subject
FROM audit a
LEFT JOIN pseudonyms actor ON actor.tenant = a.tenant AND actor.pseudonym = a.actor
LEFT JOIN pseudonyms subject ON subject.tenant = a.tenant AND subject.pseudonym = a.subject
WHERE a.tenant = %(tenant)s AND a.number > %(after)s ORDER BY a.number LIMIT %(limit)s
"""

HEAD = """
SELECT number, digest FROM audit_heads WHERE tenant = %(tenant)s
"""

TENANTS = """
SELECT tenant FROM audit_heads UNION SELECT tenant FROM audit ORDER BY tenant
"""

HEADS = """
SELECT tenant, number, digest FROM audit_heads WHERE number > 0
"""

DIGEST = """
SELECT digest FROM audit WHERE tenant = %(tenant)s AND number = %(number)s
"""
