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
