/**
 * The adapter of the web client: commands on standard input, reports on standard output, one JSON object per line.
 * It derives its reports from the client's state, which it looks at after every change.
 */
import { createInterface } from "node:readline";

import { createApi } from "../../../web/client/api";
import { HubbubClient } from "../../../web/client/client";
import { tokenCredentials } from "../../../web/client/credentials";
import { createHttp } from "../../../web/client/http";

// Node.js has WebSocket since version 22; before, it comes from the package `ws`.
const Socket = globalThis.WebSocket ?? require("ws").WebSocket;

function open(address) {
  const socket = new Socket(address, ["hubbub.v1"]);
  // A refused handshake is an error and a close; `ws` throws errors that have no listener.
  socket.onerror = () => undefined;
  return socket;
}

class Driven {
  #name;
  #client = null;
  /** The state that the reports so far told. */
  #told = { channels: new Map(), connection: { name: "idle" } };
  /** The script's name of each message that has no outcome yet, by key. */
  #waiting = new Map();

  constructor(name) {
    this.#name = name;
  }

  connect({ url, user, tenant, tokens }) {
    let next = 0;
    const token = () => tokens[Math.min(next++, tokens.length - 1)];
    const credentials = tokenCredentials(token(), () => Promise.resolve(token()));
    const options = { origin: url, ...credentials };
    this.#client = new HubbubClient({
      me: { user, tenant, name: user, roles: [] },
      api: createApi(options),
      http: createHttp(options),
      credentials,
      socket: (ticket) => open(`${url.replace("http", "ws")}/v1/connect?ticket=${ticket}`),
      storage: { load: () => [], put: () => undefined, remove: () => undefined },
      schedule: (run) => run(),
    });
    this.#client.store.subscribe(() => this.#look(this.#client.store.get()));
    this.#client.start();
  }

  send({ channel, text, as }) {
    const { key } = this.#client.send({ channel, text });
    this.#waiting.set(key, as);
    this.#look(this.#client.store.get());
  }

  close() {
    this.#client?.stop();
    this.#report("closed", {});
  }

  #look({ channels, connection, outbox }) {
    const told = this.#told;
    this.#told = { channels, connection };
    if (channels !== told.channels) this.#compare(told.channels, channels);
    if (connection.name === "ended" && told.connection.name !== "ended") this.#report("ended", { code: connection.code });
    for (const [key, as] of this.#waiting) this.#outcome(outbox.find((item) => item.key === key), key, as);
  }

  #compare(before, after) {
    for (const channel of before.keys()) if (!after.has(channel)) this.#report("left", { channel });
    for (const [channel, { seq, last }] of after) {
      const known = before.get(channel);
      if (known === undefined || seq === known.seq) continue;
      const text = last?.seq === seq ? { text: last.text } : {};
      if (seq === known.seq + 1) this.#report("event", { channel, seq, ...text });
      else this.#report("reset", { channel, seq });
    }
  }

  /** A message leaves the outbox with its event; before, it is `stored`. */
  #outcome(item, key, as) {
    if (item?.state.name === "stored") this.#settle(key, "acked", { as, seq: item.state.seq });
    else if (item?.state.name === "failed") this.#settle(key, "refused", { as, reason: item.state.reason });
    else if (item === undefined) this.#settle(key, "acked", { as });
  }

  #settle(key, report, fields) {
    this.#waiting.delete(key);
    this.#report(report, fields);
  }

  #report(report, fields) {
    process.stdout.write(`${JSON.stringify({ client: this.#name, report, ...fields })}\n`);
  }
}

const clients = new Map();
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const { client: name, do: command, ...fields } = JSON.parse(line);
  if (!clients.has(name)) clients.set(name, new Driven(name));
  clients.get(name)[command](fields);
});
lines.on("close", () => process.exit());
