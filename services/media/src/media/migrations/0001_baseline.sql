-- Uploads and their state. The bytes are in object storage.

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
    scan_lease_until timestamptz -- the scanning process holds the upload until then
);
CREATE INDEX uploads_scanning ON uploads (id) WHERE state = 'scanning';
CREATE INDEX uploads_pending ON uploads (created_at) WHERE state = 'pending';

-- Row-level security, the second wall between tenants: see the baseline of the messages service. `{*}` is used by the scanner.
ALTER TABLE uploads ENABLE ROW LEVEL SECURITY;
ALTER TABLE uploads FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON uploads USING (
    tenant = ANY ((SELECT NULLIF(current_setting('hubbub.tenants', true), '')::text[])::text[])
    OR current_setting('hubbub.tenants', true) = '{*}'
);
