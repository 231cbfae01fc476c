/**
 * `@hubbub/client`: connects to Hubbub, keeps channels complete and in order, and sends messages that are not lost.
 * No React; of the platform it uses only `fetch`, `WebSocket` and `crypto`.
 */
export { chatApi, createApi } from "./api";
export type { Api, NewChannel } from "./api";
export { unread } from "./channel";
export type { Channel } from "./channel";
export { HubbubClient } from "./client";
export { systemClock } from "./clock";
export type { Cancel, Clock } from "./clock";
export { connect } from "./connect";
export type { ConnectOptions } from "./connect";
export type { ConnectionState, SocketLike } from "./connection";
export { singleFlight, tokenCredentials } from "./credentials";
export type { Credentials, Term } from "./credentials";
export type { Directory } from "./directory";
export type { ClientEvents } from "./events";
export type { Ack, Command, Hello, Limits, LogEvent } from "./frames";
export { createHttp, Problem } from "./http";
export type { Http, HttpOptions, HttpRequest } from "./http";
export type { ClientOptions } from "./options";
export { newKey } from "./key";
export { localOutbox, memoryOutbox } from "./outbox";
export type { Draft, ItemState, OutboxItem, OutboxStorage, Stored } from "./outbox";
export type { Roster } from "./roster";
export type * from "./shapes";
export type { ClientState, Presence } from "./state";
export type { Store } from "./store";
export type { Timeline } from "./timeline";
export { webSocket } from "./webSocket";
export type { WebSocketClass } from "./webSocket";
