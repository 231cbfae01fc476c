-- Uploads and where they stand. The bytes are in object storage.

CREATE TABLE uploads (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant text NOT NULL,
    channel uuid NOT NULL,
    owner text NOT NULL,
    name text NOT NULL,
    size bigint NOT NULL,
    type text NOT NULL,
    sha256 text, -- what the client said; NULL where it did not
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'scanning', 'clean', 'blocked', 'failed')),
    reason text NOT NULL DEFAULT '',
    width integer NOT NULL DEFAULT 0,
    height integer NOT NULL DEFAULT 0,
    thumbnail boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    scan_attempts integer NOT NULL DEFAULT 0,
    scan_lease_until timestamptz -- whoever scans it holds it until then
);
CREATE INDEX uploads_scanning ON uploads (id) WHERE state = 'scanning';
CREATE INDEX uploads_pending ON uploads (created_at) WHERE state = 'pending';
