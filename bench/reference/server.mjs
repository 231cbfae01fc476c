// The reference stack: Socket.IO with its Redis adapter, PostgreSQL through pg, one INSERT per message, acknowledged after
// the commit. One process, configured as its documentation recommends: perMessageDeflate off (the default), WebSocket only,
// bufferutil installed, the handshake request discarded after use.
//
// It implements only the operations that the bench compares: authenticated connect, joining the user's rooms,
// send → stored → acknowledged → delivered to the room.
import { createServer } from "node:http";

import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

import { authenticator } from "./auth.mjs";
import { openStore } from "./store.mjs";

const MAX_TEXT_BYTES = 16 * 1024;

const store = await openStore(process.env.REFERENCE_DATABASE_URL, { durable: process.env.REFERENCE_STORE !== "none" });
const authenticate = await authenticator(process.env.REFERENCE_JWKS_FILE);

const publisher = createClient({ url: process.env.REFERENCE_REDIS_URL });
const subscriber = publisher.duplicate();
for (const client of [publisher, subscriber]) {
  client.on("error", (error) => console.error("redis", error.message));
}
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer((request, response) => {
  response.writeHead(request.url === "/healthz" ? 200 : 404).end();
});

const io = new Server(http, {
  adapter: createAdapter(publisher, subscriber, { key: process.env.REFERENCE_REDIS_KEY }),
  transports: ["websocket"],
  serveClient: false,
  maxHttpBufferSize: 64 * 1024,
  allowRequest: (request, answer) => {
    try {
      request.user = authenticate(request.headers.authorization);
      answer(null, true);
    } catch {
      answer("not authenticated", false);
    }
  },
});

io.engine.on("connection", (connection) => {
  connection.user = connection.request.user;
  connection.request = null; // saves several KB per socket
});

io.use((socket, next) => {
  store.channelsOf(socket.conn.user).then(
    (channels) => {
      socket.data.user = socket.conn.user;
      socket.data.channels = channels;
      next();
    },
    () => next(new Error("unavailable")),
  );
});

io.on("connection", (socket) => {
  const { user, channels } = socket.data;
  socket.join(channels);
  socket.emit("hello", { user, channels });
  delete socket.data.channels;
  socket.on("send", (command, answer) => void send(socket, user, command, answer));
});

async function send(socket, user, command, answer) {
  if (typeof answer !== "function") return;
  const { channel, key, text } = command ?? {};
  if (typeof channel !== "string" || typeof key !== "string" || typeof text !== "string") {
    return answer({ error: "INVALID_FRAME" });
  }
  if (Buffer.byteLength(text) > MAX_TEXT_BYTES) return answer({ error: "TOO_LARGE" });
  if (!socket.rooms.has(channel)) return answer({ error: "NOT_FOUND" });
  try {
    const { seq, at, duplicate } = await store.insert(user, channel, key, text);
    if (!duplicate) io.to(channel).emit("message", { channel, seq, sender: user, at, key, text });
    answer({ seq, at, ...(duplicate && { duplicate }) });
  } catch (error) {
    console.error("insert", error.message);
    answer({ error: "UNAVAILABLE" });
  }
}

const [host, port] = process.env.REFERENCE_LISTEN.split(":");
http.listen({ host, port: Number(port), backlog: 4096 });

process.on("SIGTERM", () => {
  io.close(() => {
    Promise.allSettled([store.close(), publisher.close(), subscriber.close()]).then(() => process.exit(0));
  });
});
