-- Silences, blocks between people, and the audit log.

-- Who may not write in a channel for a while. A member carries it along, so that judging a post looks nowhere else; the table
-- remembers it for whoever leaves and joins again.
CREATE TABLE silences (
    channel uuid NOT NULL REFERENCES channels,
    "user" text NOT NULL,
    tenant text NOT NULL,
    moderator text NOT NULL,
    reason text NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (channel, "user")
);
ALTER TABLE members ADD COLUMN silenced_until timestamptz;

-- Whose direct messages a user does not want. Found by the one who is blocked: that is who writes.
CREATE TABLE blocks (
    tenant text NOT NULL,
    blocked text NOT NULL,
    "user" text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, blocked, "user"),
    FOREIGN KEY (tenant, blocked) REFERENCES users,
    FOREIGN KEY (tenant, "user") REFERENCES users
);
CREATE INDEX blocks_of_user ON blocks (tenant, "user", blocked);

-- What moderators and administrators did: rows are added and never changed, each sealed with the one before it.
CREATE TABLE audit (
    tenant text NOT NULL,
    number bigint NOT NULL, -- 1, 2, 3 … of its tenant
    at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    channel uuid,
    subject text NOT NULL, -- the user it was done to; empty where to none
    details text NOT NULL, -- JSON; text, because what is sealed is its bytes
    previous bytea NOT NULL, -- the digest of the row before; 32 zero bytes in the first
    digest bytea NOT NULL,
    PRIMARY KEY (tenant, number)
);
-- The newest row of each tenant, and the lock under which the next one is sealed: without it rows missing at the end would not show.
CREATE TABLE audit_heads (
    tenant text PRIMARY KEY,
    number bigint NOT NULL,
    digest bytea NOT NULL
);

-- SHA-256 over the digest of the row before and the fields, each as `<bytes>:<UTF-8>,` (a netstring); messages.audit computes the same.
CREATE FUNCTION audit_append(
    for_tenant text, by_actor text, what text, in_channel uuid, to_subject text, with_details text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    head audit_heads;
    moment timestamptz := clock_timestamp();
    sealed bytea;
    field text;
BEGIN
    INSERT INTO audit_heads VALUES (for_tenant, 0, decode(repeat('00', 32), 'hex')) ON CONFLICT (tenant) DO NOTHING;
    SELECT * INTO STRICT head FROM audit_heads WHERE tenant = for_tenant FOR UPDATE;
    sealed := head.digest;
    FOREACH field IN ARRAY ARRAY[
        for_tenant, (head.number + 1)::text, to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        by_actor, what, COALESCE(in_channel::text, ''), to_subject, with_details
    ] LOOP
        sealed := sealed || convert_to(octet_length(convert_to(field, 'UTF8')) || ':' || field || ',', 'UTF8');
    END LOOP;
    INSERT INTO audit VALUES (
        for_tenant, head.number + 1, moment, by_actor, what, in_channel, to_subject, with_details, head.digest, sha256(sealed));
    UPDATE audit_heads SET number = head.number + 1, digest = sha256(sealed) WHERE tenant = for_tenant;
    RETURN head.number + 1;
END $$;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit log is only ever added to' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM CURRENT_USER;

DO $$
DECLARE
    scope constant text := '(SELECT COALESCE(NULLIF(current_setting(''hubbub.tenants'', true), ''''), ''{}'')::text[])::text[]';
    walled text;
BEGIN
    FOREACH walled IN ARRAY ARRAY['silences', 'blocks', 'audit', 'audit_heads'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', walled);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', walled);
        EXECUTE format('CREATE POLICY tenants ON %I USING (tenant = ANY (%s) OR ''*'' = ANY (%s))', walled, scope, scope);
    END LOOP;
END $$;
