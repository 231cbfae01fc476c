-- What every statement that stores a post paid for, and few posts need.

-- Looks that hardly any command causes: a sub-select is set up with each statement, a function only when it is called. `OFFSET 0`:
-- rows are looked up by what is sure to be few, also if the plan was made of empty tables (as in `queries.commands`).
CREATE FUNCTION is_banned(in_channel uuid, who text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM bans WHERE channel = in_channel AND "user" = who AND until > now())
$$;
-- By the other person.
CREATE FUNCTION is_blocked(in_direct_channel uuid, in_tenant text, who text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM (SELECT "user" FROM members WHERE channel = in_direct_channel OFFSET 0) peer
        JOIN blocks ON blocks.tenant = in_tenant AND blocks.blocked = who AND blocks."user" = peer."user")
$$;

-- PostgreSQL reads and plans a table's CHECKs anew for each statement that updates it, whatever it updates. Triggers tell by the
-- columns that there is nothing to look at.
ALTER TABLE channels
    DROP CONSTRAINT channels_kind_check, DROP CONSTRAINT channels_history_check, DROP CONSTRAINT channels_check;
ALTER TABLE members DROP CONSTRAINT members_role_check;

CREATE FUNCTION refuse_value() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'No such row can be in %', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER checked AFTER INSERT OR UPDATE OF kind, history, direct_key ON channels FOR EACH ROW
    WHEN (NEW.kind NOT IN ('direct', 'group', 'public', 'broadcast', 'qa') OR NEW.history NOT IN ('all', 'joined')
        OR (NEW.kind = 'direct') <> (NEW.direct_key IS NOT NULL)) -- the two people, so that they have one
    EXECUTE FUNCTION refuse_value();
CREATE TRIGGER checked AFTER INSERT OR UPDATE OF role ON members FOR EACH ROW
    WHEN (NEW.role NOT IN ('owner', 'moderator', 'member', 'reader'))
    EXECUTE FUNCTION refuse_value();

-- Row-level security: the scope is worked out once for each table of a statement, no longer twice. First `channels`, which everybody
-- else locks first, too.
DO $$
DECLARE
    walled text;
BEGIN
    FOREACH walled IN ARRAY ARRAY['channels', 'members', 'users', 'bans', 'silences', 'blocks', 'entries', 'messages', 'reactions',
        'withdrawn', 'reports', 'audit', 'audit_heads']
    LOOP
        EXECUTE format($policy$
            ALTER POLICY tenants ON %I USING (
                tenant = ANY ((SELECT NULLIF(current_setting('hubbub.tenants', true), '')::text[])::text[])
                OR current_setting('hubbub.tenants', true) = '{*}')
        $policy$, walled);
    END LOOP;
END $$;
