/** The client core's public names. No React, no DOM beyond `fetch`, `WebSocket` and `crypto`. */
export { createApi, devLogin } from "./api";
export type { Api, Me, Person } from "./api";
export { unread } from "./channel";
export type { Channel } from "./channel";
export { HubbubClient } from "./client";
export type { ClientOptions } from "./client";
export type { ConnectionState } from "./connection";
export { browserSocket } from "./browser";
export type * from "./frames";
export { cookieCredentials, tokenCredentials } from "./credentials";
export type { Credentials } from "./credentials";
export { Problem } from "./http";
export { localOutbox } from "./outbox";
export { signOut, waysToSignIn } from "./signin";
export type { WaysToSignIn } from "./signin";
export { upload } from "./upload";
export type { Draft, OutboxItem, OutboxStorage } from "./outbox";
export type { ClientState, Presence } from "./state";
