/** Opens a browser WebSocket on the API's origin. */
import type { SocketLike } from "./connection";

const subprotocol = "hubbub.v1";

/** `origin` is that of `HttpOptions`: empty for the page's own. */
export function browserSocket(origin: string): (ticket: string) => SocketLike {
  return (ticket) => {
    const url = new URL("/v1/connect", origin === "" ? window.location.href : origin);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.search = new URLSearchParams({ ticket }).toString();
    return new WebSocket(url, subprotocol) as SocketLike;
  };
}
