/** Opens WebSockets of the platform, or of a class that the caller provides. */
import type { SocketLike } from "./connection";

const subprotocol = "hubbub.v1";

/** A class with the interface of the browser's `WebSocket`, such as that of the package `ws`. */
export type WebSocketClass = new (url: string, protocol: string) => object;

/**
 * Returns the function that opens a socket with a ticket. `origin` is the server's; empty for the page's own.
 * Throws where the platform has no WebSocket and `socketClass` is not given.
 */
export function webSocket(origin: string, socketClass: WebSocketClass | undefined = globalThis.WebSocket): (ticket: string) => SocketLike {
  // Absent from Node.js 20, which the types do not know.
  if ((socketClass as unknown) === undefined) throw new Error("This platform has no WebSocket: provide one.");
  return (ticket) => {
    const url = new URL("/v1/connect", origin === "" ? location.href : origin);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.search = new URLSearchParams({ ticket }).toString();
    const socket = new socketClass(url.href, subprotocol) as SocketLike;
    // `onclose` follows and says all; but in `ws` an error without a listener ends the process.
    socket.onerror = () => undefined;
    return socket;
  };
}
