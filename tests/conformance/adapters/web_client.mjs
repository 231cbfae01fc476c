/** The adapter of the package `@hubbub/client`: commands on standard input, reports on standard output, one JSON object per line. */
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

import { createHttp, HubbubClient, memoryOutbox, tokenCredentials, webSocket } from "../../../web/client/dist/index.js";

// Node.js has WebSocket since version 22; before, it comes from the package `ws`.
const { WebSocket } = globalThis.WebSocket ? globalThis : createRequire(new URL("../../../web/package.json", import.meta.url))("ws");

class Driven {
  #name;
  #client = null;
  #stopped = false;

  constructor(name) {
    this.#name = name;
  }

  connect({ url, user, tenant, tokens }) {
    let next = 0;
    const token = () => tokens[Math.min(next++, tokens.length - 1)];
    const credentials = tokenCredentials(token(), () => Promise.resolve(token()));
    const client = new HubbubClient({
      me: { user, tenant, name: user, roles: [] },
      http: createHttp({ origin: url, ...credentials }),
      credentials,
      socket: webSocket(url, WebSocket),
      storage: memoryOutbox(),
    });
    client.on("event", ({ channel, seq, data }) => this.#report("event", { channel, seq, ...(data.text !== undefined && { text: data.text }) }));
    client.on("reset", (channel) => this.#report("reset", { channel, seq: client.store.get().channels.get(channel).seq }));
    client.on("left", (channel) => this.#report("left", { channel }));
    client.on("connection", ({ name, code }) => name === "ended" && this.#report("ended", { code }));
    client.start();
    this.#client = client;
  }

  async send({ channel, text, as }) {
    try {
      const { seq } = await this.#client.post({ channel, text });
      this.#report("acked", { as, seq });
    } catch ({ reason }) {
      if (!this.#stopped) this.#report("refused", { as, reason });
    }
  }

  close() {
    this.#stopped = true;
    this.#client?.stop();
    this.#report("closed", {});
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
  void clients.get(name)[command](fields);
});
lines.on("close", () => process.exit());
