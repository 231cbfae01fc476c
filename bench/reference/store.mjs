// Messages and members in PostgreSQL, with prepared statements on a pool.
import pg from "pg";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS members (
    user_id text NOT NULL,
    channel text NOT NULL,
    PRIMARY KEY (user_id, channel)
  );
  CREATE TABLE IF NOT EXISTS messages (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel text NOT NULL,
    sender text NOT NULL,
    key text NOT NULL,
    text text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (sender, channel, key)
  );
  CREATE INDEX IF NOT EXISTS messages_of_channel ON messages (channel, seq);
`;

const CHANNELS_OF = "SELECT channel FROM members WHERE user_id = $1";
const INSERT = `
  INSERT INTO messages (channel, sender, key, text) VALUES ($1, $2, $3, $4)
  ON CONFLICT (sender, channel, key) DO NOTHING RETURNING seq::int, at`;
const FIND = "SELECT seq::int, at FROM messages WHERE sender = $2 AND channel = $1 AND key = $3";

/** Opens the store. Without `durable`, messages are only numbered in memory, to measure the fan-out alone. */
export async function openStore(url, { durable }) {
  const pool = new pg.Pool({ connectionString: url, max: 20, idleTimeoutMillis: 0 }); // keep connections: connecting is expensive
  pool.on("error", (error) => console.error("postgres", error.message));
  await pool.query(SCHEMA);
  let lastSeq = 0;
  return {
    async channelsOf(user) {
      const { rows } = await pool.query({ name: "channels-of", text: CHANNELS_OF, values: [user] });
      return rows.map((row) => row.channel);
    },
    async insert(user, channel, key, text) {
      if (!durable) return { seq: ++lastSeq, at: new Date(), duplicate: false };
      const made = await pool.query({ name: "insert", text: INSERT, values: [channel, user, key, text] });
      if (made.rows.length > 0) return { ...made.rows[0], duplicate: false };
      const found = await pool.query({ name: "find", text: FIND, values: [channel, user, key] });
      return { ...found.rows[0], duplicate: true };
    },
    close: () => pool.end(),
  };
}
