-- Sessions of users who sign in with a browser. A session counts while its row says so: a cookie without one is void.

CREATE TABLE browser_sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant text NOT NULL,
    "user" text NOT NULL,
    user_agent text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(), -- to within a minute
    idle_seconds integer NOT NULL, -- it ends if it is not used for so long
    ends_at timestamptz NOT NULL, -- when it ends in any case; the row is deleted later
    ended_at timestamptz, -- signed out, ended by its owner, or revoked
    FOREIGN KEY (tenant, "user") REFERENCES users
);
CREATE INDEX browser_sessions_of_user ON browser_sessions (tenant, "user");
CREATE INDEX browser_sessions_by_end ON browser_sessions (tenant, ends_at);
ALTER TABLE browser_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE browser_sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON browser_sessions USING (
    tenant = ANY ((SELECT NULLIF(current_setting('hubbub.tenants', true), '')::text[])::text[]));
CREATE POLICY every_tenant ON browser_sessions TO hubbub_every_tenant USING (current_setting('hubbub.tenants', true) = '{*}');

-- The user has shown a token whose time of issue lay in the future, so the issuer's clock is fast. Revocations of the user void
-- tokens of the ten seconds after them, too.
ALTER TABLE users ADD COLUMN issued_ahead boolean NOT NULL DEFAULT false;
