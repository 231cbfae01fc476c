-- The second wall between tenants, beneath the code: see the messages service's migration of the same name. `*` is the scanner's.

ALTER TABLE uploads ENABLE ROW LEVEL SECURITY;
ALTER TABLE uploads FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON uploads USING (
    tenant = ANY ((SELECT COALESCE(NULLIF(current_setting('hubbub.tenants', true), ''), '{}')::text[])::text[])
    OR '*' = ANY ((SELECT COALESCE(NULLIF(current_setting('hubbub.tenants', true), ''), '{}')::text[])::text[])
);
