-- Messages that somebody showed to the moderators. What was said is kept here while the report is open, also if it is deleted.

CREATE TABLE reports (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant text NOT NULL,
    channel uuid NOT NULL REFERENCES channels,
    message uuid NOT NULL REFERENCES messages,
    seq bigint NOT NULL, -- of its message.posted
    sender text NOT NULL,
    text text, -- as it stood then; NULL once resolved
    reporter text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    resolution text CHECK (resolution IN ('dismissed', 'acted')),
    resolved_at timestamptz,
    UNIQUE (message, reporter)
);
CREATE INDEX reports_open ON reports (channel, id) WHERE resolved_at IS NULL;

ALTER TABLE reports ENABLE ROW LEVEL SECURITY;
ALTER TABLE reports FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON reports USING (
    tenant = ANY ((SELECT COALESCE(NULLIF(current_setting('hubbub.tenants', true), ''), '{}')::text[])::text[])
    OR '*' = ANY ((SELECT COALESCE(NULLIF(current_setting('hubbub.tenants', true), ''), '{}')::text[])::text[])
);
