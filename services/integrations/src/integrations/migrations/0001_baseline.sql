-- Webhooks and their deliveries.

CREATE TABLE webhooks (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant text NOT NULL,
    url text NOT NULL,
    description text NOT NULL,
    events text[] NOT NULL, -- kinds of events; empty: all
    channel_kinds text[] NOT NULL, -- empty: all
    channels text[] NOT NULL, -- empty: all
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'disabled', 'suspended')),
    reason text NOT NULL DEFAULT '' CHECK (reason IN ('', 'requested', 'gone', 'failing', 'backlog')),
    secret bytea NOT NULL, -- encrypted with a key of the deployment, like the next
    previous_secret bytea, -- signs as well until `previous_until`
    previous_until timestamptz,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    waiting integer NOT NULL DEFAULT 0, -- deliveries in this state
    dead integer NOT NULL DEFAULT 0, -- the same
    kept_bytes bigint NOT NULL DEFAULT 0, -- the bodies of both
    failing_since timestamptz, -- NULL if the last attempt succeeded
    due_at timestamptz, -- of the earliest attempt; NULL when there is none or the webhook is disabled
    lease uuid, -- of the process that makes attempts now; NULL when none does
    leased_until timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE INDEX webhooks_tenant ON webhooks (tenant, id);
CREATE INDEX webhooks_leased ON webhooks (lease) WHERE lease IS NOT NULL;
CREATE INDEX webhooks_due ON webhooks (due_at) WHERE due_at IS NOT NULL;

-- One event for one webhook. A transaction that changes deliveries which wait or are dead first locks the row of their webhook.
CREATE TABLE deliveries (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    number bigint GENERATED ALWAYS AS IDENTITY, -- the order
    tenant text NOT NULL,
    webhook uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    channel text NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    event text NOT NULL,
    body bytea, -- NULL once it is delivered
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead')),
    head boolean NOT NULL DEFAULT false, -- the first that waits of its channel: the only one that may be attempted
    attempts integer NOT NULL DEFAULT 0,
    first_at timestamptz, -- the first attempt since it was stored or sent again
    next_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    status integer NOT NULL DEFAULT 0, -- of the last answer; 0 without one
    outcome text NOT NULL DEFAULT '',
    answer bytea NOT NULL DEFAULT '', -- its first bytes
    UNIQUE (webhook, channel, epoch, seq)
);
CREATE INDEX deliveries_due ON deliveries (webhook, next_at) WHERE state = 'waiting' AND head;
CREATE INDEX deliveries_waiting ON deliveries (webhook, channel, number) WHERE state = 'waiting';
CREATE INDEX deliveries_listed ON deliveries (webhook, number);
CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;

-- Slash commands.
CREATE TABLE commands (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    hint text NOT NULL,
    url text NOT NULL,
    bot text NOT NULL, -- the user that posts the answers
    secret bytea NOT NULL, -- encrypted
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant, name)
);

-- Where the buttons and options in the messages of bots are answered.
CREATE TABLE action_endpoints (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant text NOT NULL,
    bot text NOT NULL,
    url text NOT NULL,
    secret bytea NOT NULL, -- encrypted
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant, bot)
);

-- Commands and actions that were run and may be answered later.
CREATE TABLE invocations (
    token bytea PRIMARY KEY, -- the SHA-256 of the token
    tenant text NOT NULL,
    channel text NOT NULL,
    bot text NOT NULL,
    message text NOT NULL, -- of the action; empty for a command
    answers integer NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL
);
CREATE INDEX invocations_expired ON invocations (expires_at);

-- What was done to webhooks, commands and endpoints of actions.
CREATE TABLE audit (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL, -- empty: the service
    action text NOT NULL,
    subject uuid NOT NULL,
    reason text NOT NULL DEFAULT ''
);
CREATE INDEX audit_tenant ON audit (tenant, number);

-- Who reads the feed: one process at a time.
CREATE TABLE feed_lease (
    one boolean PRIMARY KEY DEFAULT true CHECK (one), -- a single row
    lease uuid, -- of the process that reads
    leased_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO feed_lease DEFAULT VALUES;

-- Row-level security, the second wall between tenants: see the baseline of the messages service.
ALTER TABLE webhooks ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhooks FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON webhooks USING (
    tenant = ANY ((SELECT NULLIF(current_setting('hubbub.tenants', true), '')::text[])::text[])
);
CREATE POLICY every_tenant ON webhooks TO hubbub_every_tenant USING (current_setting('hubbub.tenants', true) = '{*}');
ALTER TABLE deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE deliveries FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON deliveries USING (
    tenant = ANY ((SELECT NULLIF(current_setting('hubbub.tenants', true), '')::text[])::text[])
);
CREATE POLICY every_tenant ON deliveries TO hubbub_every_tenant USING (current_setting('hubbub.tenants', true) = '{*}');

ALTER TABLE commands ENABLE ROW LEVEL SECURITY;
ALTER TABLE commands FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON commands USING (
    tenant = ANY ((SELECT NULLIF(current_setting('hubbub.tenants', true), '')::text[])::text[])
);
ALTER TABLE action_endpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE action_endpoints FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON action_endpoints USING (
    tenant = ANY ((SELECT NULLIF(current_setting('hubbub.tenants', true), '')::text[])::text[])
);
ALTER TABLE invocations ENABLE ROW LEVEL SECURITY;
ALTER TABLE invocations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON invocations USING (
    tenant = ANY ((SELECT NULLIF(current_setting('hubbub.tenants', true), '')::text[])::text[])
);
CREATE POLICY every_tenant ON invocations TO hubbub_every_tenant USING (current_setting('hubbub.tenants', true) = '{*}');

ALTER TABLE audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON audit USING (
    tenant = ANY ((SELECT NULLIF(current_setting('hubbub.tenants', true), '')::text[])::text[])
);

-- The three roles of the messages service's 0002_roles.sql. `hubbub_every_tenant` leases webhooks and removes old deliveries.
GRANT USAGE ON SCHEMA public TO hubbub_service, hubbub_every_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO hubbub_service;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO hubbub_every_tenant;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO hubbub_service;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO hubbub_every_tenant;
GRANT UPDATE (lease, leased_until) ON webhooks TO hubbub_every_tenant;
GRANT DELETE ON deliveries, invocations TO hubbub_every_tenant;
REVOKE INSERT, UPDATE, DELETE ON migrations FROM hubbub_service;
REVOKE UPDATE, DELETE ON audit FROM hubbub_service;
