-- Users, channels, members, the log, and what moderators need. Storing a post is the hot path: every post pays for each index on
-- `entries`, `channels` and `members` that is not partial.

CREATE TABLE users (
    tenant text NOT NULL,
    id text NOT NULL,
    name text NOT NULL,
    blocked boolean NOT NULL DEFAULT false,
    revoked_before timestamptz, -- tokens issued earlier are void
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, id)
);
CREATE INDEX users_by_name ON users (tenant, lower(name), id) WHERE NOT blocked;
-- Every command checks its author here, so the index holds only the few users for whom the check can fail.
CREATE INDEX users_blocked_or_revoked ON users (tenant, id) WHERE blocked OR revoked_before IS NOT NULL;

-- By which users are found: the name and the id, each from the beginning of each of its words on. Blocked users have none.
CREATE TABLE user_words (
    tenant text NOT NULL,
    "user" text NOT NULL,
    word text COLLATE "C" NOT NULL,
    sort_name text NOT NULL, -- lower(users.name)
    PRIMARY KEY (tenant, "user", word),
    FOREIGN KEY (tenant, "user") REFERENCES users ON DELETE CASCADE
);
CREATE INDEX user_words_found ON user_words (tenant, word, sort_name, "user");

-- A word begins after a blank or a sign, at a sign, and at each character of a script without blanks.
CREATE FUNCTION words_of_user(name text, id text) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS $$
    SELECT substr(whole, n) FROM (VALUES (1, lower(name)), (2, lower(id))) AS given(part, whole), generate_series(1, length(whole)) n
    WHERE substr(whole, n, 1) !~ '\s' AND (n = 1 OR substr(whole, n, 1) ~ '[^[:alnum:]]' OR substr(whole, n - 1, 1) ~ '[^[:alnum:]]'
        OR substr(whole, n, 1) ~ '[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]')
    GROUP BY substr(whole, n) ORDER BY min(part), min(n) LIMIT 64
$$;

CREATE FUNCTION index_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM user_words WHERE tenant = NEW.tenant AND "user" = NEW.id;
    END IF;
    IF NOT NEW.blocked THEN
        INSERT INTO user_words SELECT NEW.tenant, NEW.id, word, lower(NEW.name) FROM words_of_user(NEW.name, NEW.id) AS word;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER indexed AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION index_user();
CREATE TRIGGER indexed_again AFTER UPDATE OF name, blocked ON users FOR EACH ROW
    WHEN (NEW.name <> OLD.name OR NEW.blocked <> OLD.blocked) EXECUTE FUNCTION index_user();

-- The store's epoch, one row. A position in a log counts in its epoch only (docs/adr/0049). A later epoch has a greater id.
CREATE TABLE epoch (
    id uuid NOT NULL DEFAULT uuidv7(),
    timeline text NOT NULL DEFAULT left(pg_walfile_name(pg_current_wal_lsn()), 8), -- of the server when the epoch was declared
    first boolean NOT NULL DEFAULT true, -- none was declared before
    reason text NOT NULL,
    declared_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX epoch_alone ON epoch ((true));
INSERT INTO epoch (reason) VALUES ('created');

-- The row of a channel is its lock: a transaction that numbers an entry or changes a member locks it first.
-- Valid values are checked by triggers, not by CHECK: PostgreSQL plans a table's CHECKs anew for each statement that updates it.
-- Each post updates the row. So it leaves room for updates within the page, and statistics are gathered rarely.
CREATE TABLE channels (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant text NOT NULL,
    kind text NOT NULL, -- direct, group, public, broadcast, qa
    name text NOT NULL,
    topic text NOT NULL DEFAULT '',
    slow_mode_seconds integer NOT NULL DEFAULT 0,
    history text NOT NULL, -- all, joined
    direct_key text, -- identifies the pair of users of a direct channel; NULL for other kinds
    head bigint NOT NULL DEFAULT 0, -- number of the newest entry
    posts bigint NOT NULL DEFAULT 0, -- how many messages were posted
    last_post bigint NOT NULL DEFAULT 0, -- number of the newest message
    members bigint NOT NULL DEFAULT 0, -- how many members it has
    roster bigint NOT NULL DEFAULT 0, -- number of the newest row of `roster_changes`
    active_at timestamptz NOT NULL DEFAULT now(), -- when the newest entry was stored
    archived_to bigint NOT NULL DEFAULT 0, -- `entries` holds the numbers above this
    archived_posts bigint NOT NULL DEFAULT 0, -- how many messages have numbers up to `archived_to`
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000000);
CREATE UNIQUE INDEX channels_direct ON channels (tenant, direct_key);
CREATE INDEX channels_of_tenant ON channels (tenant, kind);

CREATE TABLE members (
    channel uuid NOT NULL REFERENCES channels,
    "user" text NOT NULL,
    tenant text NOT NULL,
    role text NOT NULL, -- owner, moderator, member, reader
    joined_seq bigint NOT NULL, -- number of the member.joined entry; of the first entry after a joining without one
    read_seq bigint NOT NULL,
    muted boolean NOT NULL DEFAULT false,
    last_posted_at timestamptz,
    silenced_until timestamptz, -- copied from `silences`, so that judging a post reads one row
    put_in boolean NOT NULL DEFAULT false, -- another user added the member, whose own posts show in `last_posted_at`
    sort_name text COLLATE "C" NOT NULL DEFAULT '', -- lower(users.name), by which members are sorted and found
    PRIMARY KEY (channel, "user"),
    FOREIGN KEY (tenant, "user") REFERENCES users
) WITH (fillfactor = 70, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000000);
CREATE INDEX members_of_user ON members (tenant, "user", channel);
-- Posts and reads change none of its columns, so they need not update it.
-- `role <> ''` holds for all: it keeps the planner from using the index for one member, which it prefers to the primary key while
-- the table has no statistics.
CREATE INDEX members_by_name ON members (channel, role, sort_name, "user") WHERE role <> '';

-- Members who joined or left a channel that was too large for an entry of the log each. Only gateways read them (docs/adr/0048).
-- The sweeper deletes them after a day.
CREATE TABLE roster_changes (
    channel uuid NOT NULL REFERENCES channels,
    number bigint NOT NULL, -- 1, 2, 3 … without a gap
    tenant text NOT NULL,
    "user" text NOT NULL,
    role text, -- NULL: the user left
    seq bigint NOT NULL, -- head of the channel when the change was made
    at timestamptz NOT NULL,
    PRIMARY KEY (channel, number)
);
CREATE INDEX roster_changes_by_time ON roster_changes (at);

-- How many members of a large channel have read its newest message. The row lags behind new messages until the first of them is read.
CREATE TABLE seen (
    channel uuid PRIMARY KEY REFERENCES channels,
    tenant text NOT NULL,
    seq bigint NOT NULL, -- number of the message
    readers bigint NOT NULL
) WITH (fillfactor = 50);

CREATE FUNCTION refuse_value() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Not a valid row of %', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER valid AFTER INSERT OR UPDATE OF kind, history, direct_key ON channels FOR EACH ROW
    WHEN (NEW.kind NOT IN ('direct', 'group', 'public', 'broadcast', 'qa') OR NEW.history NOT IN ('all', 'joined')
        OR (NEW.kind = 'direct') <> (NEW.direct_key IS NOT NULL))
    EXECUTE FUNCTION refuse_value();
CREATE TRIGGER valid AFTER INSERT OR UPDATE OF role ON members FOR EACH ROW
    WHEN (NEW.role NOT IN ('owner', 'moderator', 'member', 'reader'))
    EXECUTE FUNCTION refuse_value();

CREATE FUNCTION rename_members() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE members SET sort_name = lower(NEW.name) WHERE tenant = NEW.tenant AND "user" = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER renamed AFTER UPDATE OF name ON users FOR EACH ROW WHEN (NEW.name <> OLD.name) EXECUTE FUNCTION rename_members();

-- Users who left by themselves. Others can invite them, but not add them.
CREATE TABLE departures (
    channel uuid NOT NULL REFERENCES channels,
    "user" text NOT NULL,
    tenant text NOT NULL,
    PRIMARY KEY (channel, "user")
);

-- Users who were invited and have not accepted. A declined invitation stays, so that it is not repeated.
CREATE TABLE invitations (
    channel uuid NOT NULL REFERENCES channels,
    "user" text NOT NULL,
    tenant text NOT NULL,
    inviter text NOT NULL,
    role text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    declined boolean NOT NULL DEFAULT false,
    PRIMARY KEY (channel, "user"),
    FOREIGN KEY (tenant, "user") REFERENCES users
);
CREATE INDEX invitations_of_user ON invitations (tenant, "user", channel) WHERE NOT declined;

-- How many members a user has added in the hour that began at `since`.
CREATE TABLE additions (
    tenant text NOT NULL,
    "user" text NOT NULL,
    since timestamptz NOT NULL,
    added bigint NOT NULL,
    PRIMARY KEY (tenant, "user")
);

CREATE TABLE bans (
    channel uuid NOT NULL REFERENCES channels,
    "user" text NOT NULL,
    tenant text NOT NULL,
    moderator text NOT NULL,
    reason text NOT NULL,
    until timestamptz NOT NULL DEFAULT 'infinity',
    PRIMARY KEY (channel, "user")
);

-- Members who may not write for a while. `members.silenced_until` has a copy; this row survives leaving and rejoining.
CREATE TABLE silences (
    channel uuid NOT NULL REFERENCES channels,
    "user" text NOT NULL,
    tenant text NOT NULL,
    moderator text NOT NULL,
    reason text NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (channel, "user")
);

-- Users whose direct messages another user refuses. Looked up by the blocked user, who is the one that writes.
CREATE TABLE blocks (
    tenant text NOT NULL,
    blocked text NOT NULL,
    "user" text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, blocked, "user"),
    FOREIGN KEY (tenant, blocked) REFERENCES users,
    FOREIGN KEY (tenant, "user") REFERENCES users
);
CREATE INDEX blocks_of_user ON blocks (tenant, "user", blocked);

-- Users that are programs. Their ids are made here, and no other user has such an id (`chassis.bots`).
CREATE TABLE bots (
    tenant text NOT NULL,
    id text NOT NULL CHECK (starts_with(id, 'bot:')),
    channel uuid REFERENCES channels, -- of an incoming webhook, which has one token; NULL for a bot that is given tokens
    creator text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz, -- of a webhook; the row stays so that its removal can be repeated
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, id) REFERENCES users
);
CREATE INDEX bots_of_channel ON bots (channel, id) WHERE channel IS NOT NULL AND removed_at IS NULL;

-- What proves that a caller is a bot. A row never changes, except that it is used and ends: gateways remember what it permits.
CREATE TABLE bot_tokens (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), -- the `session` of calls that the token makes
    tenant text NOT NULL,
    bot text NOT NULL,
    name text NOT NULL,
    digest bytea NOT NULL, -- SHA-256; the secret is random, so it needs no salt
    scopes text[] NOT NULL, -- empty for a webhook
    creator text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL DEFAULT 'infinity',
    used_on date, -- in UTC
    revoked_at timestamptz,
    FOREIGN KEY (tenant, bot) REFERENCES bots
);
CREATE UNIQUE INDEX bot_tokens_by_digest ON bot_tokens (tenant, digest);
CREATE INDEX bot_tokens_of_bot ON bot_tokens (tenant, bot);

-- The log. A row never changes, except that deleting a message erases the content of the entries about it.
CREATE TABLE entries (
    channel uuid NOT NULL,
    seq bigint NOT NULL,
    posts bigint NOT NULL, -- messages in the channel up to and including this entry; unread messages are counted from it
    tenant text NOT NULL,
    kind smallint NOT NULL, -- hubbub.events.v1.EventKind; 1 is a message, 2 an edit
    actor text NOT NULL,
    at timestamptz NOT NULL,
    key text, -- idempotency key of a post, which its event shows; `keys` makes it unique
    command text, -- id of the command, by which logs and entries are matched; distinguishes a redelivery from a client's repeat
    message uuid,
    thread uuid, -- the message that this one replies to, as in `details`; a column because it is indexed
    about bigint, -- in channels with history `joined`: number of the message that the entry is about, or of the thread's root
    text text, -- content that the server can read; at most one of `text` and `sealed` is present
    sealed bytea, -- content that only clients can read
    details jsonb,
    PRIMARY KEY (channel, seq)
);
CREATE INDEX entries_posted ON entries (channel, message) WHERE kind = 1;
-- A page of messages reads no other entries, however many lie between two messages. `seq > 0` holds for all: it keeps the planner
-- from using the index for one message by its id, which it prefers to `entries_posted` while the table has no statistics.
CREATE INDEX entries_of_posts ON entries (channel, seq) WHERE kind = 1 AND seq > 0;
CREATE INDEX entries_edits ON entries (channel, message) WHERE kind = 2;
CREATE INDEX entries_replies ON entries (channel, thread, seq) WHERE thread IS NOT NULL;

-- Idempotency: the entry that a command's key made, for ever. Rows are only ever inserted, and outlive archived entries.
-- No personal data: `fingerprint` is a hash of the actor and the key (see `messages.commands.fingerprint`).
CREATE TABLE keys (
    channel uuid NOT NULL,
    fingerprint uuid NOT NULL,
    seq bigint NOT NULL,
    message uuid NOT NULL,
    digest bigint, -- hash of a post's content
    PRIMARY KEY (channel, fingerprint)
);

-- The current state of messages that were edited, deleted or pinned.
CREATE TABLE changes (
    channel uuid NOT NULL,
    message uuid NOT NULL,
    seq bigint NOT NULL, -- number of the message.posted entry
    tenant text NOT NULL,
    text text, -- the edited content, as in `entries`; NULL once deleted
    sealed bytea,
    blocks jsonb,
    edited_at timestamptz,
    deleted_seq bigint,
    pinned boolean NOT NULL DEFAULT false,
    pin_seq bigint, -- number of the last message.pinned or message.unpinned entry
    PRIMARY KEY (channel, message)
);
CREATE INDEX changes_pinned ON changes (channel, seq) WHERE pinned;

-- Messages in their current state: the posted entry with its changes applied.
CREATE VIEW messages WITH (security_invoker = true) AS
SELECT e.message AS id, e.channel, e.seq, e.tenant, e.actor AS sender, e.at, e.thread, e.about,
    CASE WHEN c.edited_at IS NULL THEN e.text ELSE c.text END AS text,
    CASE WHEN c.edited_at IS NULL THEN e.sealed ELSE c.sealed END AS sealed,
    CASE WHEN c.edited_at IS NULL THEN e.details WHEN c.blocks IS NULL THEN e.details - 'blocks'
      ELSE COALESCE(e.details, '{}') || jsonb_build_object('blocks', c.blocks) END AS details,
    c.edited_at, c.deleted_seq, COALESCE(c.pinned, false) AS pinned, c.pin_seq
FROM entries e LEFT JOIN changes c ON c.channel = e.channel AND c.message = e.message WHERE e.kind = 1;

-- Removed reactions stay as inactive rows, so that a repeated command finds the entry that the first one made.
CREATE TABLE reactions (
    channel uuid NOT NULL,
    message uuid NOT NULL,
    emoji text NOT NULL,
    "user" text NOT NULL,
    tenant text NOT NULL,
    active boolean NOT NULL,
    seq bigint NOT NULL, -- number of the last reaction.added or reaction.removed entry
    PRIMARY KEY (channel, message, emoji, "user")
);

-- The messages that carry an upload. It is served to those who may see one of them.
CREATE TABLE carried (
    channel uuid NOT NULL,
    upload text NOT NULL,
    tenant text NOT NULL,
    seq bigint NOT NULL, -- number of the message.posted entry
    message uuid NOT NULL,
    PRIMARY KEY (channel, upload, seq)
);

-- The messages that mention a member of their channel. A message that the user may no longer read keeps its row.
CREATE TABLE mentions (
    tenant text NOT NULL,
    "user" text NOT NULL,
    message uuid NOT NULL, -- in order of time
    channel uuid NOT NULL,
    seq bigint NOT NULL, -- number of the message.posted entry
    PRIMARY KEY (tenant, "user", message)
);

-- Messages reported to the moderators. The text is kept while the report is open, also when the message is deleted.
CREATE TABLE reports (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    tenant text NOT NULL,
    channel uuid NOT NULL REFERENCES channels,
    message uuid NOT NULL,
    seq bigint NOT NULL, -- number of the message.posted entry
    sender text NOT NULL,
    text text, -- as reported; NULL once resolved, and when the content was sealed
    reporter text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    escalated boolean NOT NULL, -- the author has been a moderator or owner since: the tenant's administrators handle it
    resolution text CHECK (resolution IN ('dismissed', 'acted')),
    resolved_at timestamptz,
    UNIQUE (channel, message, reporter)
);
CREATE INDEX reports_open ON reports (channel, id) WHERE resolved_at IS NULL AND NOT escalated;
CREATE INDEX reports_escalated ON reports (tenant, id) WHERE resolved_at IS NULL AND escalated;
CREATE INDEX reports_open_by_reporter ON reports (tenant, reporter) WHERE resolved_at IS NULL;
CREATE FUNCTION escalate_reports() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE reports SET escalated = true
    WHERE channel = NEW.channel AND sender = NEW."user" AND resolved_at IS NULL AND NOT escalated;
    RETURN NULL;
END $$;
CREATE TRIGGER escalate AFTER INSERT OR UPDATE OF role ON members FOR EACH ROW WHEN (NEW.role IN ('moderator', 'owner'))
    EXECUTE FUNCTION escalate_reports();

-- The transactional outbox: entries that may not have reached the bus yet. One row per transaction, deleted after publishing.
-- The arrays are random ids and do not compress, so they are stored as they are, inside the row.
CREATE TABLE unpublished (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    channels uuid[] STORAGE EXTERNAL NOT NULL,
    firsts bigint[] STORAGE EXTERNAL NOT NULL,
    lasts bigint[] STORAGE EXTERNAL NOT NULL,
    roster boolean NOT NULL DEFAULT false -- the numbers are of `roster_changes` instead of `entries`
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, toast_tuple_target = 8160);

-- Conditions that hardly any command has to check. A subquery is set up with every execution of its statement; a function only
-- when it is called. `OFFSET 0` keeps the planner from starting with the other table (see `messages.commands.judgement`).
CREATE FUNCTION is_banned(in_channel uuid, who text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM bans WHERE channel = in_channel AND "user" = who AND until > now())
$$;
-- Whether the other user of a direct channel has blocked `who`.
CREATE FUNCTION is_blocked(in_direct_channel uuid, in_tenant text, who text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM (SELECT "user" FROM members WHERE channel = in_direct_channel OFFSET 0) peer
        JOIN blocks ON blocks.tenant = in_tenant AND blocks.blocked = who AND blocks."user" = peer."user")
$$;

-- How many distinct emoji a message has, at most `most`. Jumps from one emoji to the next in the primary key.
CREATE FUNCTION distinct_emoji(in_channel uuid, of_message uuid, most integer) RETURNS integer LANGUAGE sql STABLE AS $$
    WITH RECURSIVE found(emoji, n) AS (
        (SELECT emoji, 1 FROM reactions WHERE channel = in_channel AND message = of_message AND active ORDER BY emoji LIMIT 1)
        UNION ALL
        SELECT next.emoji, n + 1 FROM found, LATERAL (
            SELECT emoji FROM reactions r WHERE channel = in_channel AND message = of_message AND active AND r.emoji > found.emoji
            ORDER BY r.emoji LIMIT 1) next
        WHERE n < most)
    SELECT COALESCE(max(n), 0) FROM found
$$;
-- The details of a post without mentions of users who have blocked the author.
CREATE FUNCTION without_blocked_mentions(given jsonb, in_tenant text, who text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN kept = given->'mentions' THEN given WHEN kept IS NULL THEN given - 'mentions'
        ELSE jsonb_set(given, '{mentions}', kept) END
    FROM (SELECT jsonb_agg(mention ORDER BY n) AS kept FROM jsonb_array_elements(given->'mentions') WITH ORDINALITY AS m(mention, n)
        WHERE NOT EXISTS (SELECT FROM blocks b WHERE b.tenant = in_tenant AND b.blocked = who AND b."user" = mention #>> '{}')) each
$$;

-- The names under which the audit log keeps people. Deleting a row makes the person unknown, and leaves every seal valid.
CREATE TABLE pseudonyms (
    tenant text NOT NULL,
    "user" text NOT NULL,
    pseudonym text NOT NULL DEFAULT 'erased-' || replace(gen_random_uuid()::text, '-', ''),
    PRIMARY KEY (tenant, "user"),
    UNIQUE (tenant, pseudonym)
);

-- Users to be erased: their access has ended, and `messages erase` does the rest.
CREATE TABLE erasures (
    tenant text NOT NULL,
    "user" text NOT NULL,
    requester text NOT NULL,
    pseudonym text NOT NULL DEFAULT 'erased-' || replace(gen_random_uuid()::text, '-', ''), -- in place of the user's id
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, "user")
);

-- The audit log of moderators and administrators. Rows are only ever inserted; each is sealed with the digest of the one before.
CREATE TABLE audit (
    tenant text NOT NULL,
    number bigint NOT NULL, -- 1, 2, 3 … in each tenant
    at timestamptz NOT NULL,
    actor text NOT NULL, -- pseudonym
    action text NOT NULL,
    channel uuid,
    subject text NOT NULL, -- pseudonym of the user concerned; empty when there is none
    details text NOT NULL, -- JSON, as text because the seals cover its bytes
    previous bytea NOT NULL, -- digest of the row before; 32 zero bytes in the first
    digest bytea NOT NULL, -- over `previous` and the fields with the user ids; can be verified until a person is erased
    seal bytea NOT NULL, -- over the seal of the row before, the fields with the pseudonyms, and `digest`
    PRIMARY KEY (tenant, number)
);
-- The newest row of each tenant. It is locked while the next one is sealed, and shows when rows are missing at the end.
CREATE TABLE audit_heads (
    tenant text PRIMARY KEY,
    number bigint NOT NULL,
    digest bytea NOT NULL
);

-- Each text as `<bytes>:<UTF-8>,` (a netstring).
CREATE FUNCTION netstrings(texts text[]) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(convert_to(octet_length(convert_to(each, 'UTF8')) || ':' || each || ',', 'UTF8'), ''::bytea ORDER BY n)
    FROM unnest(texts) WITH ORDINALITY AS t(each, n)
$$;

-- The pseudonym of a user, made on first use; empty for the empty text.
CREATE FUNCTION pseudonym_of(in_tenant text, who text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    IF who = '' THEN
        RETURN '';
    END IF;
    SELECT pseudonym INTO found FROM pseudonyms WHERE tenant = in_tenant AND "user" = who;
    IF found IS NULL THEN
        INSERT INTO pseudonyms (tenant, "user") VALUES (in_tenant, who)
        ON CONFLICT (tenant, "user") DO UPDATE SET "user" = excluded."user" RETURNING pseudonym INTO found;
    END IF;
    RETURN found;
END $$;

-- Two seals (docs/adr/0042): `digest` over the user ids, which anyone can recompute from an export, and `seal` over the pseudonyms.
CREATE FUNCTION audit_append(
    for_tenant text, by_actor text, what text, in_channel uuid, to_subject text, with_details text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    head audit_heads;
    moment timestamptz := clock_timestamp();
    first_fields text[];
    last_digest bytea;
    next_digest bytea;
    last_seal bytea;
    actor_name text := pseudonym_of(for_tenant, by_actor);
    subject_name text := pseudonym_of(for_tenant, to_subject);
BEGIN
    INSERT INTO audit_heads VALUES (for_tenant, 0, decode(repeat('00', 32), 'hex')) ON CONFLICT (tenant) DO NOTHING;
    SELECT * INTO STRICT head FROM audit_heads WHERE tenant = for_tenant FOR UPDATE;
    last_digest := head.digest;
    last_seal := COALESCE((SELECT seal FROM audit WHERE tenant = for_tenant AND number = head.number), decode(repeat('00', 32), 'hex'));
    first_fields := ARRAY[for_tenant, (head.number + 1)::text, to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')];
    next_digest := sha256(last_digest || netstrings(
        first_fields || ARRAY[by_actor, what, COALESCE(in_channel::text, ''), to_subject, with_details]));
    INSERT INTO audit VALUES (
        for_tenant, head.number + 1, moment, actor_name, what, in_channel, subject_name, with_details, last_digest, next_digest,
        sha256(last_seal || netstrings(first_fields || ARRAY[
            actor_name, what, COALESCE(in_channel::text, ''), subject_name, with_details, encode(next_digest, 'hex')])));
    UPDATE audit_heads SET number = head.number + 1, digest = next_digest WHERE tenant = for_tenant;
    RETURN head.number + 1;
END $$;

-- Forgets who a pseudonym is, and records that a person was erased, but not which one.
CREATE FUNCTION audit_erase(for_tenant text, by_actor text, who text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    gone text := pseudonym_of(for_tenant, who);
BEGIN
    DELETE FROM pseudonyms WHERE tenant = for_tenant AND "user" = who;
    RETURN audit_append(
        for_tenant, CASE by_actor WHEN who THEN gone ELSE by_actor END, 'user.erased', NULL, '', json_build_object('pseudonym', gone)::text);
END $$;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Rows of the audit log cannot be changed' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM CURRENT_USER;

-- Row-level security, the second wall between tenants: a transaction reads and writes only rows of the tenants that it names,
-- even if a statement asks for more. The names are the array `hubbub.tenants`, set by chassis.postgres; `{*}` stands for all tenants
-- (sweeper, migrations). Forced, so that it binds the owner of the tables too. It does not bind a superuser, so no service is one.
DO $$
DECLARE
    walled text;
BEGIN
    FOR walled IN SELECT table_name FROM information_schema.columns
        JOIN information_schema.tables USING (table_schema, table_name)
        WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND column_name = 'tenant'
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', walled);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', walled);
        EXECUTE format($policy$
            CREATE POLICY tenants ON %I USING (
                tenant = ANY ((SELECT NULLIF(current_setting('hubbub.tenants', true), '')::text[])::text[])
                OR current_setting('hubbub.tenants', true) = '{*}')
        $policy$, walled);
    END LOOP;
END $$;
