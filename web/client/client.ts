/**
 * The client as one object: creates the parts, connects them, and routes every frame of the server to them.
 * The decisions are made in the parts; follow a frame from `#received`.
 */
import { chatApi } from "./api";
import type { Api } from "./api";
import * as channels from "./channel";
import { systemClock } from "./clock";
import { Commands } from "./commands";
import { Connection } from "./connection";
import type { ConnectionState } from "./connection";
import { Directory } from "./directory";
import { Ephemeral } from "./ephemeral";
import { Events } from "./events";
import type { ClientEvents } from "./events";
import type { Ack, ClientFrame, Command, Hello, LogEvent, ServerFrame, Synced } from "./frames";
import type { Http } from "./http";
import { newKey } from "./key";
import type { ClientOptions } from "./options";
import { Outbox } from "./outbox";
import type { Draft, OutboxItem, Stored } from "./outbox";
import { Renewal } from "./renewal";
import type { ChannelHead, ChannelSummary, ChosenStatus } from "./shapes";
import { changeChannel, initialState, knownStatus } from "./state";
import type { ClientStore } from "./state";
import { Store, withEntry, withoutEntry } from "./store";
import { Sync } from "./sync";
import { SyncRequests } from "./syncRequests";
import { messageFrom } from "./timeline";

const unauthorized = 401;

/** A connection to Hubbub as one user, and everything that is known over it. */
export class HubbubClient {
  /** Everything the client knows, as one immutable value that is replaced at each change. */
  readonly store: ClientStore;
  /** Requests with the caller's credentials, for `moderationApi`, `upload` and the like. */
  readonly http: Http;
  /** Channels and messages over HTTP. */
  readonly api: Api;
  /** Loads the channel list. */
  readonly directory: Directory;
  readonly #me: string;
  readonly #connection: Connection;
  readonly #sync = new Sync();
  readonly #requests: SyncRequests;
  readonly #outbox: Outbox;
  readonly #commands: Commands;
  readonly #ephemeral: Ephemeral;
  readonly #renewal: Renewal;
  readonly #events = new Events();
  /** The connection got `hello` and sent its first `sync`. No other frame may be sent before. */
  #ready = false;
  /** The first `hello` has come. */
  #greeted = false;
  /** Channels that are being read because something happened in them, with the newest event that was dropped meanwhile. */
  readonly #discovering = new Map<string, number>();

  constructor(options: ClientOptions) {
    const { credentials, http, me } = options;
    const api = chatApi(http);
    const clock = options.clock ?? systemClock;
    this.#me = me.user;
    this.http = http;
    this.api = api;
    this.store = new Store({ ...initialState, me }, options.schedule);
    this.directory = new Directory(api, this.store, clock, (found) => this.learn(found));
    this.directory.addNames([me]);
    const ticket = async () => (await api.ticket()).ticket;
    this.#connection = new Connection({
      clock,
      ticket,
      socket: options.socket,
      onState: (state) => this.#entered(state),
      onFrame: (frame) => this.#received(frame),
    });
    this.#requests = new SyncRequests(this.#sync, clock, (frame) => this.#connection.send(frame));
    const send = (frame: ClientFrame) => this.#ready && this.#connection.send(frame);
    this.#commands = new Commands(clock, send);
    this.#renewal = new Renewal({
      clock,
      credentials,
      ticket,
      present: (proof) => this.#commands.present(proof),
      expiring: (at) => this.store.update(() => ({ expiresAt: at })),
    });
    this.#ephemeral = new Ephemeral({
      clock,
      send,
      typingChanged: (channel, users) => this.store.update((s) => ({ typing: withEntry(s.typing, channel, users) })),
    });
    this.#outbox = new Outbox({
      storage: options.storage,
      clock,
      newKey: options.newKey ?? newKey,
      send,
      changed: (items) => this.store.update(() => ({ outbox: items })),
    });
  }

  /** Calls `listener` at each announcement of this name. Returns the function that ends that. */
  on<K extends keyof ClientEvents>(name: K, listener: (value: ClientEvents[K]) => void): () => void {
    return this.#events.on(name, listener);
  }

  /** Connects, and reconnects until `stop` or until the server forbids it (`ConnectionState`). */
  start(): void {
    this.directory.start();
    this.#connection.start();
  }

  /** Closes the connection. Unsent messages stay in the storage. */
  stop(): void {
    this.directory.stop();
    this.#connection.stop();
    this.#outbox.stopped();
  }

  /** Ends the current backoff and reconnects. */
  reconnectNow(): void {
    this.#connection.reconnectNow();
  }

  /** Renews the credentials now, for example after the user signed in again in another window. Returns whether it worked. */
  renew(): Promise<boolean> {
    return this.#renewal.now();
  }

  /** Says which channel is on screen: its details are loaded, and what `ChannelView` and `People` load of it. Null for none. */
  open(channel: string | null): void {
    this.store.update(() => ({ openChannel: channel, loadFailure: null }));
    this.#loadOpen();
  }

  /** Loads what the open channel shows besides messages. Before the first `hello` there is nothing to combine it with. */
  #loadOpen(): void {
    const { openChannel, channels: known } = this.store.get();
    if (!this.#greeted) return;
    if (openChannel !== null) void (known.has(openChannel) ? this.directory.loadDetails(openChannel) : this.#discover(openChannel));
    this.#events.emit("opened", openChannel);
  }

  /**
   * Sends a message once the connection allows it, and repeats it under one key until the server has stored it. Messages of a
   * channel are sent in order. Returns the item in `store.get().outbox`, which shows its progress.
   */
  send(draft: Draft): OutboxItem {
    this.#ephemeral.messageSent(draft.channel);
    return this.#outbox.add(draft);
  }

  /**
   * Sends a message like `send` and waits until it is stored. Rejects with `Problem`: the server's reason if it refused the message
   * for good, `DISCARDED` after `discard`, `UNAVAILABLE` if the client stops first (the message stays in the outbox).
   */
  post(draft: Draft): Promise<Stored> {
    const { key } = this.send(draft);
    return this.#outbox.stored(key);
  }

  /** Sends a refused message again, as a new one. */
  retry(key: string): void {
    this.#outbox.retry(key);
  }

  /** Removes a message from the outbox. It may have been stored already. */
  discard(key: string): void {
    this.#outbox.discard(key);
  }

  /**
   * Edits or deletes a message, or changes a reaction or pin. The change itself arrives as an event.
   * Rejects with `Problem`: the server's reason, or `UNAVAILABLE` without a connection or without an answer in 10 s; then it may
   * have happened.
   */
  run(command: Command): Promise<Ack> {
    return this.#commands.run(command);
  }

  /** Marks the channel as read up to `seq`. */
  read(channel: string, seq: number): void {
    const known = this.store.get().channels.get(channel);
    if (known === undefined || seq <= known.readSeq) return;
    this.#change(channel, (c) => channels.withRead(c, seq));
    this.#ephemeral.sendRead(channel, seq);
  }

  /** The caller pressed a key in the composer of `channel`. */
  typed(channel: string): void {
    this.#ephemeral.sendTyping(channel);
  }

  /** Sets how this connection, and each later one, counts towards the caller's presence. */
  setStatus(status: ChosenStatus): void {
    this.store.update(() => ({ status }));
    this.#ephemeral.setStatus(status);
  }

  /** Replaces the set of users whose presence is in the state: the first 200 of them. */
  watch(users: readonly string[]): void {
    this.#ephemeral.watch(users);
  }

  /** Adds or updates a channel from an answer of the API, which may arrive before the socket's `joined`. */
  addChannel(summary: ChannelSummary): void {
    this.#joined(summary);
    this.directory.applySummaries([summary]);
  }

  #entered(state: ConnectionState): void {
    const before = this.store.get().connection.name;
    this.store.update(() => ({ connection: state }));
    if (state.name === "open") this.#opened(state.hello);
    else if (before === "open") {
      this.#ready = false;
      this.#requests.closed();
      this.#renewal.closed();
      this.#commands.closed();
      this.#outbox.closed();
    }
    this.#events.emit("connection", state);
  }

  #opened(hello: Hello): void {
    // The renewed credentials may belong to another user, who must not see this user's messages.
    if (hello.user !== this.#me) return this.#connection.end(unauthorized, "");
    const { positions, voided, joined, left } = this.#sync.hello(hello);
    this.directory.hello(hello.more === true);
    for (const id of left) this.#left(id);
    this.store.update((s) => ({
      channels: new Map([...s.channels, ...joined.map((head) => [head.id, channels.begun(s.channels.get(head.id), head)] as const)]),
    }));
    if (voided) {
      this.directory.lost();
      this.#outbox.lost();
    }
    for (const { id } of joined) this.#events.emit(voided ? "reset" : "joined", id);
    for (const head of hello.channels) this.#change(head.id, (c) => channels.withRead(c, head.read_seq));
    this.#requests.open(positions);
    this.#ready = true;
    this.#outbox.opened();
    this.#ephemeral.opened();
    this.#renewal.opened();
    // After a mere reconnect the events since are enough.
    if (joined.length > 0 || !this.store.get().listed) void this.directory.loadChannels();
    if (voided || !this.#greeted) {
      this.#greeted = true;
      this.#loadOpen();
    }
  }

  #received(frame: Exclude<ServerFrame, Hello>): void {
    switch (frame.type) {
      case "event":
        return this.#event(frame);
      case "synced":
        return this.#synced(frame);
      case "joined":
        return this.#joined(frame.channel);
      case "left":
        this.#sync.left(frame.channel);
        return this.#left(frame.channel);
      case "invited":
        return this.#events.emit("invited", frame.invitation);
      case "ack":
        if (this.#outbox.acked(frame)) this.#outbox.applied(frame.channel, this.#sync.position(frame.channel) ?? 0);
        else this.#commands.answered(frame);
        return;
      case "token":
        return this.#commands.answered(frame);
      case "error":
        if (!this.#requests.refused(frame) && !this.#outbox.refused(frame)) this.#commands.refused(frame);
        return;
      case "receipt":
        return this.#change(frame.channel, (c) =>
          frame.user === this.#me ? channels.withRead(c, frame.read_seq) : channels.withReceipt(c, frame.user, frame.read_seq),
        );
      case "seen":
        return this.#change(frame.channel, (c) => ({ ...c, seen: { seq: frame.seq, count: frame.count } }));
      case "members":
        return this.#change(frame.channel, (c) => ({ ...c, members: frame.count }));
      case "typing":
        return this.#ephemeral.showTyping(frame.channel, frame.user);
      case "presence":
        return this.store.update((s) => ({
          presence: withEntry(s.presence, frame.user, { status: knownStatus(frame.status), lastSeen: frame.last_seen ?? null }),
        }));
      case "reconnect":
      case "pong":
        return;
      default:
        this.#events.emit("unknown", frame);
    }
  }

  #event(event: LogEvent): void {
    const verdict = this.#sync.event(event);
    if (verdict === "unknown") void this.#discover(event.channel, event.seq);
    if (verdict === "gap") this.#requests.send(this.#sync.request([event.channel]));
    if (verdict !== "apply") return;
    this.#change(event.channel, (c) => channels.applyEvent(c, event, this.#me));
    if (event.kind === "message.posted") {
      this.#ephemeral.hideTyping(event.channel, event.actor);
      if (event.actor === this.#me && event.data.key !== undefined) this.#outbox.seen(event.data.key, { ...event, message: event.data.message });
    }
    this.#outbox.applied(event.channel, event.seq);
    this.#events.emit("event", event);
    if (event.kind === "message.posted") this.#events.emit("message", messageFrom(event));
  }

  #synced(frame: Synced): void {
    this.#requests.answered(frame.ref);
    const { reset, gone } = this.#sync.synced(frame);
    for (const id of gone) this.#left(id);
    for (const { channel, seq } of reset) {
      this.#change(channel, (c) => channels.afterReset(c, seq));
      this.#outbox.applied(channel, seq);
      this.#events.emit("reset", channel);
    }
    if (reset.length > 0) void this.directory.loadChannels();
  }

  #joined(head: ChannelHead): void {
    const positions = this.#sync.joined(head);
    if (this.store.get().channels.has(head.id)) return this.#requests.send(positions);
    this.store.update((s) => ({
      channels: withEntry(s.channels, head.id, channels.fromHead(head)),
      invitations: s.invitations.filter((one) => one.channel !== head.id),
    }));
    this.#events.emit("joined", head.id);
    void this.directory.loadChannels();
  }

  /** Something happened in a channel that `hello` had no room for. */
  async #discover(id: string, seq = 0): Promise<void> {
    const reading = this.#discovering.has(id);
    this.#discovering.set(id, Math.max(seq, this.#discovering.get(id) ?? 0));
    if (reading) return;
    const { epoch } = this.#sync;
    const summary = await this.api.channel(id).catch(() => null);
    const newest = this.#discovering.get(id) ?? 0;
    this.#discovering.delete(id);
    if (epoch !== this.#sync.epoch) return this.#discover(id);
    // A public channel can also be read by who is no member.
    const member = summary !== null && (summary.role as string | null) !== null;
    if (member) this.learn([summary]);
    // An event that came after the answer was made is not in it.
    if ((this.#sync.position(id) ?? newest) < newest) this.#requests.send(this.#sync.request([id]));
  }

  /** Adds channels of the caller that `hello` had no room for. Their events are applied from here on. */
  learn(summaries: readonly ChannelSummary[]): void {
    const unknown = summaries.filter((summary) => !this.store.get().channels.has(summary.id));
    for (const summary of unknown) this.#requests.send(this.#sync.joined(summary));
    this.store.update((s) => ({
      channels: new Map([...s.channels, ...unknown.map((summary) => [summary.id, channels.fromHead(summary)] as const)]),
    }));
    this.directory.applySummaries(summaries);
    for (const { id } of unknown) this.#events.emit("joined", id);
  }

  #left(id: string): void {
    this.store.update((s) => ({
      openChannel: s.openChannel === id ? null : s.openChannel,
      channels: withoutEntry(s.channels, id),
      members: withoutEntry(s.members, id),
      typing: withoutEntry(s.typing, id),
    }));
    this.#events.emit("left", id);
  }

  #change(id: string, change: (channel: channels.Channel) => channels.Channel): void {
    changeChannel(this.store, id, change);
  }
}
