-- Uploads, their state, and the usage that quotas are judged by. The bytes are in object storage.

CREATE TABLE uploads (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant text NOT NULL,
    channel uuid NOT NULL,
    owner text NOT NULL,
    name text NOT NULL,
    size bigint NOT NULL,
    type text NOT NULL,
    sha256 text, -- as declared by the client; NULL when it declared none
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'scanning', 'clean', 'blocked', 'failed')),
    reason text NOT NULL DEFAULT '',
    width integer NOT NULL DEFAULT 0,
    height integer NOT NULL DEFAULT 0,
    thumbnail boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    scan_attempts integer NOT NULL DEFAULT 0,
    scan_lease_until timestamptz, -- the scanning process holds the upload until then
    kept_sha256 text -- of the bytes that were scanned and kept, which it names; NULL until then
);
CREATE INDEX uploads_waiting ON uploads (tenant, owner, size, id) WHERE state = 'scanning';
CREATE INDEX uploads_announced ON uploads (tenant, owner, created_at);
CREATE INDEX uploads_pending ON uploads (created_at) WHERE state = 'pending';

-- Row-level security, the second wall between tenants: see the baseline of the messages service. `{*}` is used by the scanner.
ALTER TABLE uploads ENABLE ROW LEVEL SECURITY;
ALTER TABLE uploads FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON uploads USING (
    tenant = ANY ((SELECT NULLIF(current_setting('hubbub.tenants', true), '')::text[])::text[])
    OR current_setting('hubbub.tenants', true) = '{*}'
);

-- Usage of each tenant (owner '') and each owner, kept by a trigger.
CREATE TABLE usage (
    tenant text NOT NULL,
    owner text NOT NULL,
    bytes bigint NOT NULL, -- of uploads that are pending, scanning or clean
    open bigint NOT NULL, -- uploads that are pending or scanning
    PRIMARY KEY (tenant, owner)
);
ALTER TABLE usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON usage USING (
    tenant = ANY ((SELECT NULLIF(current_setting('hubbub.tenants', true), '')::text[])::text[])
    OR current_setting('hubbub.tenants', true) = '{*}'
);

-- Always the tenant's row before the owner's: transactions that concern one upload cannot deadlock.
CREATE FUNCTION count_usage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    more_bytes bigint := 0;
    more_open bigint := 0;
    upload uploads;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        upload := OLD;
        more_bytes := more_bytes - CASE WHEN OLD.state IN ('pending', 'scanning', 'clean') THEN OLD.size ELSE 0 END;
        more_open := more_open - CASE WHEN OLD.state IN ('pending', 'scanning') THEN 1 ELSE 0 END;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        upload := NEW;
        more_bytes := more_bytes + CASE WHEN NEW.state IN ('pending', 'scanning', 'clean') THEN NEW.size ELSE 0 END;
        more_open := more_open + CASE WHEN NEW.state IN ('pending', 'scanning') THEN 1 ELSE 0 END;
    END IF;
    IF more_bytes <> 0 OR more_open <> 0 THEN
        INSERT INTO usage AS known VALUES (upload.tenant, '', more_bytes, more_open)
        ON CONFLICT (tenant, owner) DO UPDATE SET bytes = known.bytes + more_bytes, open = known.open + more_open;
        INSERT INTO usage AS known VALUES (upload.tenant, upload.owner, more_bytes, more_open)
        ON CONFLICT (tenant, owner) DO UPDATE SET bytes = known.bytes + more_bytes, open = known.open + more_open;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER count_usage AFTER INSERT OR DELETE OR UPDATE OF state ON uploads FOR EACH ROW EXECUTE FUNCTION count_usage();
