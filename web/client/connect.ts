/** Connects with one call: token, user, client. Products that need more control create a `HubbubClient` themselves. */
import { chatApi } from "./api";
import { HubbubClient } from "./client";
import { tokenCredentials } from "./credentials";
import { createHttp, Problem } from "./http";
import { localOutbox, memoryOutbox } from "./outbox";
import type { OutboxStorage } from "./outbox";
import type { Me } from "./shapes";
import { webSocket } from "./webSocket";
import type { WebSocketClass } from "./webSocket";

const unauthorized = 401;

/** What `connect` needs. */
export interface ConnectOptions {
  /** The server's origin, such as `https://chat.example.com`; in a browser, empty for the page's own. */
  origin: string;
  /** Returns a signed token of the user, or null if there is none. Called at once, and again before each token expires. */
  getToken: () => Promise<string | null>;
  /** Where unsent messages are kept. By default `localStorage` in browsers, and memory elsewhere. */
  outbox?: (me: Me) => OutboxStorage;
  /** The class of sockets, where the platform has none: Node.js below 22. */
  WebSocket?: WebSocketClass;
  fetch?: typeof fetch;
}

/**
 * Connects the token's user. Resolves once the socket is open: from then on every event of the user's channels is announced. A socket
 * that is lost later is reopened, and messages that are sent meanwhile wait in the outbox.
 *
 * Makes one attempt. Rejects with `Problem`: `NOT_AUTHENTICATED` without a valid token, `UNAVAILABLE` if the server does not answer
 * (each step has 10 s), `NOT_ALLOWED` if it closes the socket for good. An error of `getToken` is passed on.
 * An app that starts without a network creates a `HubbubClient` instead, whose `start` never gives up.
 */
export async function connect(options: ConnectOptions): Promise<HubbubClient> {
  const { origin, getToken, fetch, WebSocket: socketClass, outbox = defaultOutbox } = options;
  const token = await getToken();
  if (token === null) throw unauthenticated();
  const credentials = tokenCredentials(token, getToken);
  const http = createHttp({ origin, ...credentials, ...(fetch && { fetch }) });
  const me = await chatApi(http).me();
  const client = new HubbubClient({ me, http, credentials, socket: webSocket(origin, socketClass), storage: outbox(me) });
  try {
    await opened(client);
    return client;
  } catch (error) {
    client.stop();
    throw error;
  }
}

function unauthenticated(): Problem {
  return new Problem(unauthorized, "NOT_AUTHENTICATED", "");
}

function opened(client: HubbubClient): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = client.on("connection", (state) => {
      if (state.name === "connecting") return;
      end();
      if (state.name === "open") resolve();
      else if (state.name !== "ended") reject(new Problem(0, "UNAVAILABLE", "The socket did not open."));
      else if (state.code === unauthorized) reject(unauthenticated());
      else reject(new Problem(0, "NOT_ALLOWED", state.reason));
    });
    client.start();
  });
}

function defaultOutbox({ tenant, user }: Me): OutboxStorage {
  if (typeof document === "undefined") return memoryOutbox();
  return localOutbox(`hubbub.outbox.${JSON.stringify([tenant, user])}.`, localStorage);
}
