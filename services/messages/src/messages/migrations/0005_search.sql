-- The index of message search, filled by a durable reader of the log (docs/adr/0045). It is derived: it can be built again.
--
-- A generation is one build of the index. It consists of slices, tables of some 250,000 messages each, in the order of the messages'
-- ids and so of time. They hold ids and words of every tenant, and no tenant: PostgreSQL does not use an index of words below
-- row-level security. A search names channels, which it has read from `members` under row-level security, and reads the messages
-- that it found under row-level security again.
CREATE EXTENSION IF NOT EXISTS btree_gin;

CREATE TABLE search_generations (
    generation integer PRIMARY KEY,
    serving boolean NOT NULL, -- answers searches; the others are being built
    started_at timestamptz NOT NULL DEFAULT now(),
    served_at timestamptz -- since when
);
CREATE UNIQUE INDEX search_serving ON search_generations (serving) WHERE serving;
INSERT INTO search_generations VALUES (1, true, now(), now());

CREATE TABLE search_slices (
    generation integer NOT NULL REFERENCES search_generations ON DELETE CASCADE,
    first uuid NOT NULL, -- the slice has the messages from this id up to the first of the next slice
    name text NOT NULL UNIQUE, -- of its table
    messages bigint NOT NULL DEFAULT 0, -- roughly how many it has
    PRIMARY KEY (generation, first)
);

REVOKE INSERT, UPDATE, DELETE ON search_generations, search_slices FROM hubbub_service;
GRANT INSERT, UPDATE, DELETE ON search_generations, search_slices TO hubbub_every_tenant;

-- Statistics say whether a word is rare, and vacuum merges the words that were added last into the index: both are kept fresh.
-- The tables of slices belong to the owner; the reader, which may create no table, creates and drops them by these functions.
CREATE FUNCTION search_add_slice(of_generation integer, from_message uuid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    slice text := format('search_%s_%s', of_generation, replace(from_message::text, '-', ''));
BEGIN
    INSERT INTO search_slices VALUES (of_generation, from_message, slice);
    EXECUTE format('CREATE TABLE %I (
        message uuid PRIMARY KEY, channel uuid NOT NULL, seq bigint NOT NULL, words tsvector NOT NULL
    ) WITH (autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05)', slice);
    EXECUTE format('CREATE INDEX ON %I USING gin (channel, words) WITH (gin_pending_list_limit = 1024)', slice);
    EXECUTE format('REVOKE ALL ON %I FROM hubbub_service', slice);
    EXECUTE format('GRANT SELECT ON %I TO hubbub_service', slice);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO hubbub_every_tenant', slice);
    RETURN slice;
END $$;

CREATE FUNCTION search_drop_generation(old_generation integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    slice text;
BEGIN
    IF EXISTS (SELECT FROM search_generations WHERE generation = old_generation AND serving) THEN
        RAISE EXCEPTION 'Generation % answers searches', old_generation USING ERRCODE = 'object_in_use';
    END IF;
    FOR slice IN SELECT name FROM search_slices WHERE generation = old_generation LOOP
        EXECUTE format('DROP TABLE %I', slice);
    END LOOP;
    DELETE FROM search_generations WHERE generation = old_generation;
END $$;

REVOKE EXECUTE ON FUNCTION search_add_slice(integer, uuid), search_drop_generation(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION search_add_slice(integer, uuid), search_drop_generation(integer) TO hubbub_every_tenant;
