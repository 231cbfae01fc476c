-- The log and what hangs on it. Inserting a post is the hot path: every index here is one that a post cannot do without.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE users (
    tenant text NOT NULL,
    id text NOT NULL,
    name text NOT NULL,
    blocked boolean NOT NULL DEFAULT false,
    revoked_before timestamptz, -- tokens issued before are void
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, id)
);
CREATE INDEX users_by_name ON users (tenant, lower(name), id);
CREATE INDEX users_search ON users USING gin (lower(id || ' ' || name) gin_trgm_ops);
CREATE INDEX users_blocked ON users (tenant, id) WHERE blocked; -- tiny: every command looks here

-- A channel's row is its lock: whoever numbers an entry or changes a member holds it.
CREATE TABLE channels (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('direct', 'group', 'public', 'broadcast', 'qa')),
    name text NOT NULL,
    topic text NOT NULL DEFAULT '',
    slow_mode_seconds integer NOT NULL DEFAULT 0,
    history text NOT NULL CHECK (history IN ('all', 'joined')),
    direct_key text CHECK ((kind = 'direct') = (direct_key IS NOT NULL)), -- the two people, so that they have one
    head bigint NOT NULL DEFAULT 0, -- the newest entry's number
    posts bigint NOT NULL DEFAULT 0, -- how many messages
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50); -- head moves all the time: leave room for updates in the same page
CREATE UNIQUE INDEX channels_direct ON channels (tenant, direct_key);
CREATE INDEX channels_of_tenant ON channels (tenant, kind);

CREATE TABLE members (
    channel uuid NOT NULL REFERENCES channels,
    "user" text NOT NULL,
    tenant text NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'moderator', 'member', 'reader')),
    joined_seq bigint NOT NULL, -- the member.joined that let them in
    read_seq bigint NOT NULL,
    muted boolean NOT NULL DEFAULT false,
    last_posted_at timestamptz,
    PRIMARY KEY (channel, "user"),
    FOREIGN KEY (tenant, "user") REFERENCES users
) WITH (fillfactor = 70);
CREATE INDEX members_of_user ON members (tenant, "user", channel);

CREATE TABLE bans (
    channel uuid NOT NULL REFERENCES channels,
    "user" text NOT NULL,
    tenant text NOT NULL,
    moderator text NOT NULL,
    reason text NOT NULL,
    until timestamptz NOT NULL DEFAULT 'infinity',
    PRIMARY KEY (channel, "user")
);

-- The log. A row never changes, except that deleting a message erases what the entries about it said.
CREATE TABLE entries (
    channel uuid NOT NULL,
    seq bigint NOT NULL,
    tenant text NOT NULL,
    kind smallint NOT NULL, -- hubbub.events.v1.EventKind
    actor text NOT NULL,
    at timestamptz NOT NULL,
    key text, -- the command's idempotency key
    digest bigint, -- of what the key was used for
    command text, -- id of the command, so that its redelivery is told from a repeat
    message uuid,
    text text,
    details jsonb,
    PRIMARY KEY (channel, seq)
);
CREATE UNIQUE INDEX entries_key ON entries (channel, actor, key) WHERE key IS NOT NULL;
CREATE INDEX entries_edits ON entries (message) WHERE kind = 2;

-- Messages as they stand now: what folding the log gives.
CREATE TABLE messages (
    id uuid PRIMARY KEY,
    channel uuid NOT NULL,
    seq bigint NOT NULL, -- of its message.posted
    ordinal bigint NOT NULL, -- it is the channel's n-th message: counts the unread without reading them
    tenant text NOT NULL,
    sender text NOT NULL,
    at timestamptz NOT NULL,
    text text,
    details jsonb, -- thread, attachments, mentions
    edited_at timestamptz,
    deleted_seq bigint,
    pinned boolean NOT NULL DEFAULT false,
    pin_seq bigint -- of the last message.pinned or message.unpinned
);
CREATE UNIQUE INDEX messages_by_seq ON messages (channel, seq);

-- Inactive ones stay, so that a repeated command finds the entry of the first.
CREATE TABLE reactions (
    message uuid NOT NULL,
    emoji text NOT NULL,
    "user" text NOT NULL,
    tenant text NOT NULL,
    active boolean NOT NULL,
    seq bigint NOT NULL, -- of the last reaction.added or reaction.removed
    PRIMARY KEY (message, emoji, "user")
);

-- Entries that may not have reached the bus yet: one row for each numbering statement, removed after publishing.
CREATE TABLE unpublished (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    channels uuid[] NOT NULL,
    firsts bigint[] NOT NULL,
    lasts bigint[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
