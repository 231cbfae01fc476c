/** One client connected to one model server, and ways to let everything settle. */
import { HubbubClient } from "../client/client";
import { tokenCredentials } from "../client/credentials";
import type { HistoryLimits } from "../client/history";
import { createHttp } from "../client/http";
import { People } from "../client/people";
import { ChannelView } from "../client/view";
import type { OutboxItem, OutboxStorage } from "../client/outbox";
import { FakeClock, settled } from "./fakeClock";
import { me, ModelServer } from "./modelServer";
import type { ModelSocket } from "./modelServer";

export function memoryStorage(): OutboxStorage & { items: Map<string, OutboxItem> } {
  const items = new Map<string, OutboxItem>();
  return {
    items,
    load: () => [...items.values()],
    put: (item) => void items.set(item.key, item),
    remove: (key) => void items.delete(key),
  };
}

export class World {
  readonly server = new ModelServer();
  readonly clock = new FakeClock();
  readonly storage = memoryStorage();
  client: HubbubClient;
  people!: People;
  view!: ChannelView;
  #keys = 0;
  readonly #limits: HistoryLimits | undefined;
  renewals = 0;

  constructor(limits?: HistoryLimits, readonly token = "token") {
    this.#limits = limits;
    this.client = this.#make();
  }

  /** Returns the caller's next token; null refuses one. */
  fresh: () => Promise<string | null> = () => Promise.resolve("token");

  #make(): HubbubClient {
    const credentials = tokenCredentials(this.token, () => {
      this.renewals += 1;
      this.server.tokenIsVoid = false;
      return this.fresh();
    }, this.clock);
    const client = new HubbubClient({
      me: { user: me, tenant: "t", name: "Me", roles: [] },
      http: createHttp({ origin: "", ...credentials, fetch: this.server.fetch }),
      socket: this.server.connect,
      credentials,
      storage: this.storage,
      clock: this.clock,
      newKey: () => `k${(this.#keys += 1)}`,
    });
    this.view = new ChannelView(client, this.#limits, this.clock);
    this.people = new People(client);
    return client;
  }

  /** Reloads the page: only stored items survive. */
  reload(): void {
    this.client.stop();
    this.socket?.close();
    this.client = this.#make();
    this.client.start();
  }

  /** The socket in use, if there is one. */
  get socket(): ModelSocket | undefined {
    const last = this.server.sockets.at(-1);
    return last?.closed === false ? last : undefined;
  }

  /** Answers one pending HTTP request, by default the oldest. */
  async answer(which = 0): Promise<boolean> {
    const [asked] = this.server.asked.splice(which % Math.max(1, this.server.asked.length), 1);
    asked?.answer();
    await settled();
    return asked !== undefined;
  }

  /** Delivers everything under way, in both directions, without advancing the clock. */
  async flush(): Promise<void> {
    for (;;) {
      let moved = await this.answer();
      const { socket } = this;
      if (socket !== undefined) moved = socket.serve() || socket.deliver() || moved;
      await settled();
      if (!moved && this.server.asked.length === 0) return;
    }
  }

  /** Runs until the client is connected and nothing is under way. */
  async rest(): Promise<void> {
    await this.flush();
    for (let round = 0; round < 20; round++) {
      this.clock.advance(35_000);
      await this.flush();
      if (this.client.store.get().connection.name === "open" && round > 0) return;
    }
    throw new Error("did not come to rest");
  }

  async started(): Promise<this> {
    this.client.start();
    await settled();
    await this.flush();
    return this;
  }
}
