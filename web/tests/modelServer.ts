/**
 * A model of the server: one log per channel, and the messages that result from it. It speaks the protocol over fake sockets
 * and a fake `fetch`. Every delivery, in either direction, waits until a test releases it.
 */
import type { SocketLike } from "../client/connection";
import type { ClientFrame, LogEvent, ServerFrame, SyncVerdict } from "../client/frames";
import type { ChannelHead, ChannelSummary, Message } from "../client/shapes";

type Change =
  | { kind: "message.posted"; text: string | null; key?: string }
  | { kind: "message.edited"; message: string; text: string }
  | { kind: "message.deleted"; message: string }
  | { kind: "reaction.added" | "reaction.removed"; message: string; emoji: string }
  | { kind: "message.pinned" | "message.unpinned"; message: string }
  | { kind: "channel.updated"; name: string }
  | { kind: "unknown.kind" };

interface Room {
  log: LogEvent[];
  messages: Message[];
  name: string;
  member: boolean;
  readSeq: number;
  keys: Map<string, { message: string; seq: number; text: string | null; at: string }>;
}

export const me = "me";

export class ModelServer {
  readonly rooms = new Map<string, Room>();
  readonly sockets: ModelSocket[] = [];
  /** Unanswered HTTP requests. */
  channelsPerPage = 500;
  readonly asked: { path: string; answer: () => void; fail: () => void }[] = [];
  /** `limits.sync_events`. */
  syncEvents = 1000;
  tokenIsVoid = false;
  /** Channels that `hello` lists. */
  helloChannels = 200;
  #epoch = 1;
  #time = Date.UTC(2026, 0, 1);

  room(id: string): Room {
    const known = this.rooms.get(id);
    if (known !== undefined) return known;
    const made: Room = { log: [], messages: [], name: id, member: true, readSeq: 0, keys: new Map() };
    this.rooms.set(id, made);
    return made;
  }

  append(channel: string, actor: string, change: Change): LogEvent {
    const room = this.room(channel);
    const at = new Date((this.#time += 1000)).toISOString();
    const seq = room.log.length + 1;
    const { kind, ...data } = change;
    const posted = kind === "message.posted" ? { message: `${channel}-${seq}`, ...data } : data;
    const event = { type: "event", channel, seq, kind, actor, at, data: posted } as unknown as LogEvent;
    room.log.push(event);
    this.#keep(room, event);
    for (const socket of this.sockets) socket.published(event);
    return event;
  }

  #keep(room: Room, event: LogEvent): void {
    const { messages } = room;
    if (event.kind === "message.posted") {
      const { message: id, text } = event.data;
      messages.push({
        id, channel: event.channel, seq: event.seq, sender: event.actor, text, at: event.at, edited_at: null, deleted: false,
        thread: null, attachments: [], mentions: [], reactions: [], pinned: false,
      });
      if (event.actor === me) room.readSeq = event.seq;
      return;
    }
    if (event.kind === "channel.updated") room.name = event.data.name ?? room.name;
    const message = "message" in event.data ? messages.find((m) => "message" in event.data && m.id === event.data.message) : undefined;
    if (message === undefined) return;
    if (event.kind === "message.edited") {
      message.text = event.data.text;
      message.edited_at = event.at;
    } else if (event.kind === "message.deleted") {
      message.text = null;
      message.deleted = true;
      message.reactions = [];
      message.pinned = false;
      for (const entry of room.log) blank(entry, message.id);
    } else if (event.kind === "message.pinned" || event.kind === "message.unpinned") {
      message.pinned = event.kind === "message.pinned";
    } else if (event.kind === "reaction.added" || event.kind === "reaction.removed") {
      const { emoji } = event.data;
      const users = new Set(message.reactions.find((r) => r.emoji === emoji)?.users ?? []);
      if (event.kind === "reaction.added") users.add(event.actor);
      else users.delete(event.actor);
      const others = message.reactions.filter((r) => r.emoji !== emoji);
      message.reactions = users.size === 0 ? others : [...others, { emoji, count: users.size, users: [...users] }];
    }
  }

  get epoch(): string {
    return String(this.#epoch);
  }

  /** Loses the entries after the first `seq` of a channel, and tells the sockets to resync. */
  goBack(id: string, seq: number): void {
    const room = this.room(id);
    room.log.length = Math.min(room.log.length, seq);
    room.messages = [];
    for (const event of room.log) this.#keep(room, event);
    for (const [key, { seq: at }] of room.keys) if (at > seq) room.keys.delete(key);
    room.readSeq = Math.min(room.readSeq, room.log.length);
    this.#epoch += 1;
    for (const socket of this.sockets) socket.drop(4005);
  }

  head(id: string): ChannelHead {
    const room = this.room(id);
    return { id, kind: "group", name: room.name, role: "member", seq: room.log.length, read_seq: room.readSeq };
  }

  unread(id: string): number {
    const room = this.room(id);
    return room.messages.filter((m) => m.seq > room.readSeq && m.sender !== me).length;
  }

  summary(id: string): ChannelSummary {
    const last = this.room(id).messages.at(-1);
    return { ...this.head(id), topic: null, unread: this.unread(id), muted: false, last_message: last === undefined ? null : structuredClone(last) };
  }

  members(): string[] {
    return [...this.rooms].filter(([, room]) => room.member).map(([id]) => id);
  }

  connect = (_ticket: string): SocketLike => {
    const socket = new ModelSocket(this);
    this.sockets.push(socket);
    return socket;
  };

  /** The answer is computed now and delivered when the test releases it. */
  fetch = (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
    new Promise((resolve, reject) => {
      const path = typeof url === "string" ? url : url instanceof URL ? url.href : url.url;
      const { status, body } = this.#answer(path, init?.method ?? "GET");
      const text = JSON.stringify(body);
      this.asked.push({
        path,
        answer: () => resolve(new Response(text, { status })),
        fail: () => reject(new TypeError("network")),
      });
    });

  #answer(url: string, method: string): { status: number; body: unknown } {
    const [path = "", query = ""] = url.split("?");
    if (path === "/v1/me") return { status: 200, body: { user: me, tenant: "t", name: "Me", roles: [] } };
    if (this.tokenIsVoid) return { status: 401, body: { status: 401, title: "void", reason: "NOT_AUTHENTICATED" } };
    if (path === "/v1/tickets" && method === "POST") return { status: 201, body: { ticket: "t", expires_in: 30 } };
    if (path === "/v1/channels") {
      const from = Number(new URLSearchParams(query).get("cursor") ?? 0);
      const to = from + this.channelsPerPage;
      const all = this.members();
      return { status: 200, body: { items: all.slice(from, to).map((id) => this.summary(id)), ...(to < all.length && { next: String(to) }) } };
    }
    const [, , , id = "", resource] = path.split("/");
    const room = this.rooms.get(id);
    if (room?.member !== true) return { status: 404, body: { status: 404, title: "not found", reason: "NOT_FOUND" } };
    if (resource === undefined || resource === "accept") return { status: 200, body: this.summary(id) };
    if (resource === "members") return { status: 200, body: { items: [{ user: me, name: "Me", role: "member" }], total: 1 } };
    return { status: 200, body: { items: this.#page(room, new URLSearchParams(query)) } };
  }

  #page(room: Room, query: URLSearchParams): Message[] {
    const before = Number(query.get("before") ?? Number.POSITIVE_INFINITY);
    const after = Number(query.get("after") ?? 0);
    const hits = room.messages.filter((m) => m.seq < before && m.seq > after);
    return structuredClone(hits.reverse().slice(0, Number(query.get("limit") ?? 50)));
  }
}

/** The text of a deleted message is not sent again. */
function blank(entry: LogEvent, message: string): void {
  if ((entry.kind === "message.posted" || entry.kind === "message.edited") && entry.data.message === message) entry.data.text = null;
}

export class ModelSocket implements SocketLike {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly toServer: ClientFrame[] = [];
  readonly toClient: ServerFrame[] = [];
  closed = false;
  #flowing = false;
  readonly #sent = new Map<string, number>();
  readonly #server: ModelServer;

  constructor(server: ModelServer) {
    this.#server = server;
    const channels = server.members().map((id) => server.head(id));
    for (const head of channels) this.#sent.set(head.id, head.seq);
    this.toClient.push({
      type: "hello", connection: "c", user: me, tenant: "t", heartbeat_seconds: 30, channels: channels.slice(0, server.helloChannels),
      epoch: server.epoch, ...(channels.length > server.helloChannels && { more: true }),
      limits: { frame_bytes: 65536, text_bytes: 16384, sync_events: server.syncEvents, sends_per_second: 10, burst: 20, connections: 10, named_members: 100 },
    });
  }

  send(text: string): void {
    if (!this.closed) this.toServer.push(JSON.parse(text) as ClientFrame);
  }

  close(): void {
    this.closed = true;
  }

  /** The server or the network closes the socket. */
  drop(code = 1006): void {
    if (this.closed) return;
    this.closed = true;
    this.onclose?.({ code, reason: "" });
  }

  published(event: LogEvent): void {
    const sent = this.#sent.get(event.channel);
    if (!this.#flowing || this.closed || sent === undefined) return;
    this.toClient.push(structuredClone(event));
    this.#sent.set(event.channel, event.seq);
  }

  /** Delivers one frame of the client. Returns whether there was one. */
  serve(): boolean {
    const frame = this.toServer.shift();
    if (frame === undefined || this.closed) return false;
    if (frame.type === "sync") this.#sync(frame.positions, frame.epoch === this.#server.epoch);
    else if (frame.type === "send") this.#post(frame);
    else if (frame.type === "ping") this.toClient.push({ type: "pong" });
    else if (frame.type === "read") {
      const room = this.#server.room(frame.channel);
      room.readSeq = Math.max(room.readSeq, Math.min(frame.seq, room.log.length));
    }
    return true;
  }

  /** Delivers one frame of the server. Returns whether there was one. */
  deliver(): boolean {
    const frame = this.toClient.shift();
    if (frame === undefined || this.closed) return false;
    this.onmessage?.({ data: JSON.stringify(frame) });
    return true;
  }

  #sync(positions: Readonly<Record<string, number>>, current: boolean): void {
    const channels: Record<string, SyncVerdict> = {};
    const events: LogEvent[] = [];
    for (const [id, from] of Object.entries(positions)) {
      const room = this.#server.rooms.get(id);
      if (room?.member !== true) {
        channels[id] = { status: "gone" };
        this.#sent.delete(id);
        continue;
      }
      const seq = room.log.length;
      const fits = current && from <= seq && seq - from <= this.#server.syncEvents;
      channels[id] = { status: fits ? "complete" : "reset", seq };
      if (fits) events.push(...room.log.slice(from));
      this.#sent.set(id, seq);
    }
    this.toClient.push({ type: "synced", channels }, ...structuredClone(events));
    if (this.#flowing) return;
    this.#flowing = true;
    for (const [id, sent] of this.#sent) {
      if (id in positions) continue;
      for (const event of this.#server.room(id).log.slice(sent)) this.published(event);
    }
  }

  #post(frame: ClientFrame & { type: "send" }): void {
    const room = this.#server.rooms.get(frame.channel);
    if (room?.member !== true) {
      this.toClient.push({ type: "error", ref: frame.ref, reason: "NOT_FOUND" });
      return;
    }
    const known = room.keys.get(frame.key);
    if (known !== undefined && known.text !== frame.text) {
      this.toClient.push({ type: "error", ref: frame.ref, reason: "KEY_REUSED" });
      return;
    }
    if (known !== undefined) {
      this.toClient.push({ type: "ack", ref: frame.ref, channel: frame.channel, duplicate: true, ...known });
      return;
    }
    const event = this.#server.append(frame.channel, me, { kind: "message.posted", text: frame.text ?? null, key: frame.key });
    const message = `${frame.channel}-${event.seq}`;
    room.keys.set(frame.key, { message, seq: event.seq, text: frame.text ?? null, at: event.at });
    this.toClient.push({ type: "ack", ref: frame.ref, channel: frame.channel, seq: event.seq, message, at: event.at });
  }
}
