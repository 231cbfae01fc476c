-- The three roles of the messages service's 0002_roles.sql, here with the scanner's and the sweeper's work for `hubbub_every_tenant`.
DO $$
BEGIN
    IF to_regrole('hubbub_service') IS NULL OR to_regrole('hubbub_every_tenant') IS NULL THEN
        RAISE EXCEPTION 'The roles hubbub_service and hubbub_every_tenant are missing (docs/operations.md, Database roles)';
    END IF;
END $$;

GRANT USAGE ON SCHEMA public TO hubbub_service, hubbub_every_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO hubbub_service;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO hubbub_every_tenant;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO hubbub_service;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO hubbub_every_tenant;
GRANT UPDATE ON uploads TO hubbub_every_tenant;
GRANT INSERT, UPDATE ON usage TO hubbub_every_tenant; -- by the trigger of `uploads`
REVOKE INSERT, UPDATE, DELETE ON migrations FROM hubbub_service;

DO $$
DECLARE
    walled name;
BEGIN
    FOR walled IN SELECT tablename FROM pg_policies WHERE schemaname = 'public' AND policyname = 'tenants'
    LOOP
        EXECUTE format($policy$
            ALTER POLICY tenants ON %I
            USING (tenant = ANY ((SELECT NULLIF(current_setting('hubbub.tenants', true), '')::text[])::text[]))
        $policy$, walled);
        EXECUTE format($policy$
            CREATE POLICY every_tenant ON %I TO hubbub_every_tenant USING (current_setting('hubbub.tenants', true) = '{*}')
        $policy$, walled);
    END LOOP;
END $$;
