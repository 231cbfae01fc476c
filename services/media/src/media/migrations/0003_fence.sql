-- What is kept is named by its checksum; scanning takes turns; usage is counted for quotas.

ALTER TABLE uploads ADD COLUMN kept_sha256 text; -- NULL until it is kept, and where an earlier release kept it
CREATE INDEX uploads_waiting ON uploads (tenant, owner, size, id) WHERE state = 'scanning';
CREATE INDEX uploads_announced ON uploads (tenant, owner, created_at);
-- The previous release takes uploads by `uploads_scanning`; a later release drops it.

-- By tenant (owner '') and by owner. A trigger keeps it true whichever release writes.
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
    tenant = ANY ((SELECT COALESCE(NULLIF(current_setting('hubbub.tenants', true), ''), '{}')::text[])::text[])
    OR '*' = ANY ((SELECT COALESCE(NULLIF(current_setting('hubbub.tenants', true), ''), '{}')::text[])::text[])
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

SELECT set_config('hubbub.tenants', '{*}', true);
INSERT INTO usage
SELECT tenant, COALESCE(owner, ''), COALESCE(sum(size) FILTER (WHERE state IN ('pending', 'scanning', 'clean')), 0),
       count(*) FILTER (WHERE state IN ('pending', 'scanning'))
FROM uploads GROUP BY GROUPING SETS ((tenant), (tenant, owner));
