-- Three roles: the owner migrates; a member of `hubbub_service` serves; a member of `hubbub_every_tenant` sweeps and audits.
-- docs/operations.md, Database roles, has the SQL that creates them. No session widens its scope to all tenants by a setting.
DO $$
BEGIN
    IF to_regrole('hubbub_service') IS NULL OR to_regrole('hubbub_every_tenant') IS NULL THEN
        RAISE EXCEPTION 'The roles hubbub_service and hubbub_every_tenant are missing (docs/operations.md, Database roles)';
    END IF;
END $$;

-- For these tables and those of later migrations.
GRANT USAGE ON SCHEMA public TO hubbub_service, hubbub_every_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO hubbub_service;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO hubbub_every_tenant;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO hubbub_service;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO hubbub_every_tenant;
GRANT UPDATE, DELETE ON unpublished TO hubbub_every_tenant;
GRANT UPDATE, DELETE ON roster_changes TO hubbub_every_tenant; -- UPDATE, to lock the rows

-- The audit log is appended to by its function alone. The owner declares an epoch.
REVOKE INSERT, UPDATE, DELETE ON audit, audit_heads, pseudonyms, epoch, migrations FROM hubbub_service;
-- Keys are kept for ever.
REVOKE UPDATE, DELETE ON keys FROM hubbub_service;
ALTER FUNCTION audit_append(text, text, text, uuid, text, text) SECURITY DEFINER SET search_path = public, pg_temp;
REVOKE EXECUTE ON FUNCTION audit_append(text, text, text, uuid, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_append(text, text, text, uuid, text, text) TO hubbub_service;
ALTER FUNCTION audit_erase(text, text, text) SECURITY DEFINER SET search_path = public, pg_temp;
REVOKE EXECUTE ON FUNCTION audit_erase(text, text, text), pseudonym_of(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_erase(text, text, text) TO hubbub_service;

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
