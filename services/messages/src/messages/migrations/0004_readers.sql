-- Durable readers of the log (bus.reader, chassis.reader_store): how far each one is. Holds no content, and so no tenant.

CREATE TABLE reader_positions (
    reader text NOT NULL,
    channel uuid NOT NULL,
    seq bigint NOT NULL, -- the reader has the channel's entries up to this number
    PRIMARY KEY (reader, channel)
) WITH (fillfactor = 70);

CREATE TABLE reader_cursors (
    reader text NOT NULL,
    topic text NOT NULL,
    cursor text NOT NULL, -- where the reader continues on the bus
    read_to timestamptz, -- it has everything of the topic that was published until then
    PRIMARY KEY (reader, topic)
) WITH (fillfactor = 50);

REVOKE INSERT, UPDATE, DELETE ON reader_positions, reader_cursors FROM hubbub_service;
GRANT INSERT, UPDATE, DELETE ON reader_positions, reader_cursors TO hubbub_every_tenant;

-- Readers of other products (hubbub.messages.v1.FeedService). What each has been sent is in the tables above, under `reader`.
CREATE TABLE feed_readers (
    reader text PRIMARY KEY, -- feed.<caller>.<name>
    caller text NOT NULL, -- the calling service
    name text NOT NULL,
    from_now boolean NOT NULL, -- began with the events after its creation
    tenants text[] NOT NULL DEFAULT '{}', -- whose channels it has begun to read; {*} for all
    epoch text COLLATE "C" NOT NULL, -- the last one of which it knows
    stream uuid, -- the stream that may send to it: the last one
    number bigint NOT NULL DEFAULT 0, -- of its newest response with a cursor
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (caller, name)
) WITH (fillfactor = 50);

-- What was sent and not acknowledged: numbers of the log, from which it is sent again.
CREATE TABLE feed_batches (
    reader text NOT NULL REFERENCES feed_readers ON DELETE CASCADE,
    number bigint NOT NULL,
    epoch text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    channels uuid[] NOT NULL,
    afters bigint[] NOT NULL, -- the events of each channel above this number
    throughs bigint[] NOT NULL, -- and up to this one
    PRIMARY KEY (reader, number)
);

REVOKE INSERT, UPDATE, DELETE ON feed_readers, feed_batches FROM hubbub_service;
GRANT INSERT, UPDATE, DELETE ON feed_readers, feed_batches TO hubbub_every_tenant;
