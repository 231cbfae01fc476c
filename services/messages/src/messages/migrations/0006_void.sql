-- Every command looks whether its author is blocked, or its token revoked: few are, so what it looks into stays tiny.
CREATE INDEX users_void ON users (tenant, id) WHERE blocked OR revoked_before IS NOT NULL;
DROP INDEX users_blocked;
