"""SQL of the audit log. Indexes: primary keys."""

APPEND = """
SELECT audit_append(%(tenant)s, %(actor)s, %(action)s, %(channel)s, %(subject)s, %(details)s)
"""

PAGE = """
SELECT tenant, number, at, actor, action, channel, subject, details, previous, digest FROM audit
WHERE tenant = %(tenant)s AND number > %(after)s ORDER BY number LIMIT %(limit)s
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
