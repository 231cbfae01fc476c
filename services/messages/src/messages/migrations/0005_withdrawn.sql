-- Uploads that a deleted message carried: they are shown again only where a message that stands carries them.

CREATE TABLE withdrawn (
    channel uuid NOT NULL REFERENCES channels,
    upload text NOT NULL,
    tenant text NOT NULL,
    PRIMARY KEY (channel, upload)
);

CREATE INDEX messages_carrying ON messages (channel) WHERE details ? 'attachments'; -- few: most posts carry nothing

ALTER TABLE withdrawn ENABLE ROW LEVEL SECURITY;
ALTER TABLE withdrawn FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON withdrawn USING (
    tenant = ANY ((SELECT COALESCE(NULLIF(current_setting('hubbub.tenants', true), ''), '{}')::text[])::text[])
    OR '*' = ANY ((SELECT COALESCE(NULLIF(current_setting('hubbub.tenants', true), ''), '{}')::text[])::text[])
);
