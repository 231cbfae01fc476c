-- The second wall between tenants, beneath the code: a transaction sees and writes rows of the tenants that it named, whatever its
-- statements forget to ask. Forced, so that it binds the owner too; a superuser is bound by nothing, so no service is one.
-- What a transaction names is `hubbub.tenants`, an array, set by chassis.postgres; `*` stands for all (the sweeper, migrations).

DO $$
DECLARE
    scope constant text := '(SELECT COALESCE(NULLIF(current_setting(''hubbub.tenants'', true), ''''), ''{}'')::text[])::text[]';
    walled text;
BEGIN
    FOREACH walled IN ARRAY ARRAY['users', 'channels', 'members', 'bans', 'entries', 'messages', 'reactions'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', walled);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', walled);
        EXECUTE format('CREATE POLICY tenants ON %I USING (tenant = ANY (%s) OR ''*'' = ANY (%s))', walled, scope, scope);
    END LOOP;
END $$;
