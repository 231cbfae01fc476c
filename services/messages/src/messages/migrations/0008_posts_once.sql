-- A post is stored once, as its entry of the log (docs/adr/0018). What becomes of it later is in `changes`, and `messages` is what
-- the two amount to.

SELECT set_config('hubbub.tenants', '{*}', true); -- rows of everybody are moved

ALTER TABLE entries ADD COLUMN posts bigint; -- how many messages the channel had once this was appended: the unread are counted by it
UPDATE entries SET posts = counted.posts
FROM (
    SELECT channel, seq, count(*) FILTER (WHERE kind = 1) OVER (PARTITION BY channel ORDER BY seq) AS posts FROM entries
) counted
WHERE entries.channel = counted.channel AND entries.seq = counted.seq;

-- Processes of the release before leave the column out. While both run, they are to come back later with what they would write:
-- by then it is their successors who do.
CREATE FUNCTION too_old() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'This release cannot write here any more' USING ERRCODE = 'cannot_connect_now';
END $$;
ALTER TABLE entries ALTER COLUMN posts SET NOT NULL, ALTER COLUMN posts SET DEFAULT too_old();

ALTER TABLE channels ADD COLUMN last_post bigint NOT NULL DEFAULT 0; -- the newest message's number
UPDATE channels SET last_post = newest.seq
FROM (SELECT channel, max(seq) AS seq FROM entries WHERE kind = 1 GROUP BY channel) newest WHERE newest.channel = channels.id;

CREATE TABLE changes (
    message uuid PRIMARY KEY,
    channel uuid NOT NULL,
    seq bigint NOT NULL, -- of its message.posted
    tenant text NOT NULL,
    text text, -- once it is edited, and not deleted
    edited_at timestamptz,
    deleted_seq bigint,
    pinned boolean NOT NULL DEFAULT false,
    pin_seq bigint -- of the last message.pinned or message.unpinned
);
INSERT INTO changes (message, channel, seq, tenant, text, edited_at, deleted_seq, pinned, pin_seq)
SELECT id, channel, seq, tenant, CASE WHEN edited_at IS NOT NULL THEN text END, edited_at, deleted_seq, pinned, pin_seq
FROM messages WHERE edited_at IS NOT NULL OR deleted_seq IS NOT NULL OR pin_seq IS NOT NULL;
CREATE INDEX changes_pinned ON changes (channel, seq) WHERE pinned;
ALTER TABLE changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE changes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON changes USING (
    tenant = ANY ((SELECT NULLIF(current_setting('hubbub.tenants', true), '')::text[])::text[])
    OR current_setting('hubbub.tenants', true) = '{*}');

ALTER TABLE reports DROP CONSTRAINT reports_message_fkey;
DROP TABLE messages;
CREATE INDEX entries_posted ON entries (message) WHERE kind = 1; -- ids are in order of time: this grows at its end
CREATE INDEX entries_carrying ON entries (channel) WHERE kind = 1 AND details ? 'attachments'; -- few: most posts carry nothing

-- Messages as they stand now: what folding the log gives. The columns are the former table's, so that the release before can read.
CREATE VIEW messages WITH (security_invoker = true) AS
SELECT e.message AS id, e.channel, e.seq, e.posts AS ordinal, e.tenant, e.actor AS sender, e.at,
    CASE WHEN c.edited_at IS NULL THEN e.text ELSE c.text END AS text, e.details,
    c.edited_at, c.deleted_seq, COALESCE(c.pinned, false) AS pinned, c.pin_seq
FROM entries e LEFT JOIN changes c ON c.message = e.message WHERE e.kind = 1;

-- Posts are numbered without a lock, and only if nobody has changed the channel since they were judged (`queries.commands`).
CREATE FUNCTION channel_changed() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The channel changed meanwhile' USING ERRCODE = 'serialization_failure';
END $$;

-- Random ids do not shrink: trying to took more time than writing them. Nor are they moved out of the row while it fits its page.
ALTER TABLE unpublished ALTER COLUMN channels SET STORAGE EXTERNAL, ALTER COLUMN firsts SET STORAGE EXTERNAL,
    ALTER COLUMN lasts SET STORAGE EXTERNAL, SET (toast_tuple_target = 8160);
