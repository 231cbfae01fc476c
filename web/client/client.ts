/**
 * Owns the composition: wires connection, sync, history, outbox and the store into one object that an app or widget uses.
 * Leaves every decision to those modules. This is where a frame's way through the client can be read.
 */
import type { Api, Me } from "./api";
import { Attention } from "./attention";
import * as channels from "./channel";
import type { Channel } from "./channel";
import { systemClock } from "./clock";
import type { Cancel, Clock } from "./clock";
import { Commands } from "./commands";
import type { Credentials } from "./credentials";
import { Connection } from "./connection";
import type { ConnectionState, SocketLike } from "./connection";
import { Directory } from "./directory";
import type { Ack, ChannelHead, ChosenStatus, ChannelSummary, Command, Hello, LogEvent, ServerFrame, Synced } from "./frames";
import { defaultLimits, History } from "./history";
import type { HistoryLimits } from "./history";
import { Problem } from "./http";
import { newKey } from "./key";
import { Renewal } from "./renewal";
import { Outbox } from "./outbox";
import type { Draft, OutboxItem, OutboxStorage } from "./outbox";
import { initialState } from "./state";
import type { ClientState } from "./state";
import { Store, withEntry, withoutEntry } from "./store";
import { Sync } from "./sync";
import type { Positions } from "./sync";
import { dropNewest, dropOldest } from "./timeline";
import type { Timeline } from "./timeline";

export interface ClientOptions {
  me: Me;
  api: Api;
  socket: (ticket: string) => SocketLike;
  /** The same that `api` uses. */
  credentials: Credentials;
  storage: OutboxStorage;
  clock?: Clock;
  newKey?: () => string;
  /** When subscribers hear of changes: see `Store`. */
  schedule?: (run: () => void) => void;
  limits?: HistoryLimits;
}

const loadRetryMs = 2_000;
const notAuthenticated = 401;

export class HubbubClient {
  readonly store: Store<ClientState>;
  readonly api: Api;
  /** Names, members, the channel list. */
  readonly directory: Directory;
  readonly #me: string;
  readonly #clock: Clock;
  readonly #limits: HistoryLimits;
  readonly #connection: Connection;
  readonly #sync = new Sync();
  readonly #history: History;
  readonly #outbox: Outbox;
  readonly #commands: Commands;
  readonly #attention: Attention;
  readonly #renewal: Renewal;
  /** The open view is at its end: new messages push old ones out, not the other way round. */
  #following = true;
  #stopped = false;
  #retryLatest: Cancel | null = null;
  /** The connection got `hello` and sent its first `sync`. */
  #flowing = false;

  constructor(options: ClientOptions) {
    const clock = options.clock ?? systemClock;
    this.#clock = clock;
    this.#limits = options.limits ?? defaultLimits;
    this.#me = options.me.user;
    this.api = options.api;
    this.store = new Store({ ...initialState, me: options.me }, options.schedule);
    this.directory = new Directory(options.api, this.store, clock);
    this.#connection = new Connection({
      clock,
      ticket: async () => (await this.api.ticket()).ticket,
      socket: options.socket,
      onState: (state) => this.#entered(state),
      onFrame: (frame) => this.#received(frame),
    });
    const send: Connection["send"] = (frame) => this.#flowing && this.#connection.send(frame);
    this.#history = new History(
      { page: (channel, query) => this.api.messages(channel, query) },
      { read: (id) => this.store.get().channels.get(id), write: (id, timeline) => this.#writeTimeline(id, timeline) },
      this.#limits,
    );
    this.#commands = new Commands(clock, send);
    this.#renewal = new Renewal({
      clock,
      credentials: options.credentials,
      ticket: async () => (await this.api.ticket()).ticket,
      show: (proof) => this.#commands.show(proof),
      ending: (at) => this.store.update(() => ({ endingAt: at })),
    });
    this.#attention = new Attention({
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
    this.directory.learn([{ user: options.me.user, name: options.me.name }]);
  }

  start(): void {
    this.#stopped = false;
    this.directory.start();
    this.#connection.start();
  }

  stop(): void {
    this.#stopped = true;
    this.#retryLatest?.();
    this.directory.stop();
    this.#connection.stop();
  }

  /** Reconnects now rather than at the end of a wait. */
  hurry(): void {
    this.#connection.hurry();
  }

  /** Tries now to go on beyond the end of the sign-in, such as after the person signed in anew elsewhere. */
  renew(): Promise<boolean> {
    return this.#renewal.now();
  }

  /** Looks at `channel`: its history is loaded and kept loaded. Null looks away. */
  open(channel: string | null): void {
    const previous = this.store.get().openChannel;
    if (previous !== null && previous !== channel) this.#close(previous);
    this.#following = true;
    this.store.update(() => ({ openChannel: channel, loadFailure: null }));
    if (channel === null) return;
    void this.latest();
    void this.directory.loadDetails(channel);
    void this.directory.loadMembers(channel);
  }

  /** Whether the open view shows the newest messages: decides which end is dropped when the window is full. */
  follow(following: boolean): void {
    this.#following = following;
  }

  /** Loads the newest messages of the open channel; tries again until it has them or the view moves on. */
  async latest(): Promise<void> {
    const id = this.store.get().openChannel;
    if (id === null) return;
    await this.#attempt(() => this.#history.latest(id));
    const { openChannel } = this.store.get();
    const known = this.store.get().channels.get(id);
    const missing = known !== undefined && known.timeline?.atEnd !== true;
    if (openChannel === id && missing && !this.#stopped && !this.#history.loading(id)) {
      this.#retryLatest?.();
      this.#retryLatest = this.#clock.after(loadRetryMs, () => void this.latest());
    }
  }

  /** Loads message `seq` of the open channel and what is around it, unless it is there already. False where there is no such message. */
  async goTo(seq: number): Promise<boolean> {
    const id = this.store.get().openChannel;
    if (id === null) return false;
    const loaded = () => this.store.get().channels.get(id)?.timeline?.messages.some((m) => m.seq === seq) === true;
    if (loaded()) return true;
    this.#following = false;
    await this.#attempt(() => this.#history.around(id, seq));
    await this.newer();
    return loaded();
  }

  older(): Promise<void> {
    return this.#attempt((id) => this.#history.older(id));
  }

  newer(): Promise<void> {
    return this.#attempt((id) => this.#history.newer(id));
  }

  send(draft: Draft): OutboxItem {
    this.#attention.sent(draft.channel);
    return this.#outbox.add(draft);
  }

  retry(key: string): void {
    this.#outbox.retry(key);
  }

  discard(key: string): void {
    this.#outbox.discard(key);
  }

  /** Rejects with `Problem`. The change itself arrives as an event. */
  run(command: Command): Promise<Ack> {
    return this.#commands.run(command);
  }

  /** The caller saw everything up to `seq`. */
  read(channel: string, seq: number): void {
    const known = this.store.get().channels.get(channel);
    if (known === undefined || seq <= known.readSeq) return;
    this.#change(channel, (c) => channels.withRead(c, seq));
    this.#attention.read(channel, seq);
  }

  typed(channel: string): void {
    this.#attention.typed(channel);
  }

  setStatus(status: ChosenStatus): void {
    this.store.update(() => ({ status }));
    this.#attention.status(status);
  }

  watch(users: readonly string[]): void {
    this.#attention.watch(users);
  }

  /** A channel that the API just made or joined; it may be heard of here before the socket's `joined`. */
  adopt(summary: ChannelSummary): void {
    this.#gained(summary);
    this.directory.summarise([summary]);
  }

  #entered(state: ConnectionState): void {
    const was = this.store.get().connection.name;
    this.store.update(() => ({ connection: state }));
    if (state.name === "open") this.#opened(state.hello);
    else if (was === "open") {
      this.#flowing = false;
      this.#renewal.closed();
      this.#commands.closed();
      this.#outbox.closed();
    }
  }

  #opened(hello: Hello): void {
    // What was renewed may be somebody else's; what is on screen must not become theirs.
    if (hello.user !== this.#me) return this.#connection.end(notAuthenticated, "");
    const { positions, joined, left } = this.#sync.hello(hello.channels);
    for (const id of left) this.#lost(id);
    this.store.update((s) => ({
      channels: new Map([...s.channels, ...joined.map((head) => [head.id, channels.fromHead(head)] as const)]),
    }));
    for (const head of hello.channels) this.#change(head.id, (c) => channels.withRead(c, head.read_seq));
    // The first sync opens the flow, so it goes out even when there is nothing to ask for.
    this.#connection.send({ type: "sync", positions });
    this.#flowing = true;
    this.#outbox.opened();
    this.#attention.opened();
    this.#renewal.opened();
    // After a mere reconnect the log itself brings everything up to date.
    if (joined.length > 0 || !this.store.get().listed) void this.directory.refresh();
    void this.latest();
  }

  #received(frame: Exclude<ServerFrame, Hello>): void {
    switch (frame.type) {
      case "event":
        return this.#event(frame);
      case "synced":
        return this.#synced(frame);
      case "joined":
        return this.#gained(frame.channel);
      case "left":
        this.#sync.left(frame.channel);
        return this.#lost(frame.channel);
      case "ack":
        if (this.#outbox.acked(frame)) this.#outbox.folded(frame.channel, this.#sync.position(frame.channel) ?? 0);
        else this.#commands.answered(frame);
        return;
      case "token":
        return this.#commands.answered(frame);
      case "error":
        if (!this.#outbox.refused(frame)) this.#commands.refused(frame);
        return;
      case "receipt":
        return this.#change(frame.channel, (c) =>
          frame.user === this.#me ? channels.withRead(c, frame.read_seq) : channels.withReceipt(c, frame.user, frame.read_seq),
        );
      case "typing":
        return this.#attention.typing(frame.channel, frame.user);
      case "presence":
        return this.store.update((s) => ({
          presence: withEntry(s.presence, frame.user, { status: frame.status, lastSeen: frame.last_seen ?? null }),
        }));
      default:
        return;
    }
  }

  #event(event: LogEvent): void {
    const verdict = this.#sync.event(event);
    if (verdict === "gap") this.#ask(this.#sync.request([event.channel]));
    if (verdict !== "apply") return;
    this.#history.record(event);
    this.#change(event.channel, (c) => this.#bounded(channels.applyEvent(c, event, this.#me)));
    if (event.kind === "message.posted") {
      this.#attention.stopped(event.channel, event.actor);
      if (event.actor === this.#me && event.data.key !== undefined) this.#outbox.seen(event.data.key);
    }
    this.#outbox.folded(event.channel, event.seq);
    if (channels.changesMembers(event, this.#me) && this.store.get().members.has(event.channel)) void this.directory.loadMembers(event.channel);
  }

  #synced(frame: Synced): void {
    const { reset, gone } = this.#sync.synced(frame);
    for (const id of gone) this.#lost(id);
    for (const { channel, seq } of reset) {
      this.#history.forget(channel);
      this.#change(channel, (c) => channels.afterReset(c, seq));
      this.#outbox.folded(channel, seq);
      if (this.store.get().openChannel === channel) void this.latest();
    }
    if (reset.length > 0) void this.directory.refresh();
  }

  #gained(head: ChannelHead): void {
    if (this.store.get().channels.has(head.id)) {
      this.#ask(this.#sync.joined(head));
      return;
    }
    this.#sync.joined(head);
    this.store.update((s) => ({ channels: withEntry(s.channels, head.id, channels.fromHead(head)) }));
    void this.directory.refresh();
  }

  #lost(id: string): void {
    this.#history.forget(id);
    this.store.update((s) => ({
      channels: withoutEntry(s.channels, id),
      members: withoutEntry(s.members, id),
      typing: withoutEntry(s.typing, id),
      openChannel: s.openChannel === id ? null : s.openChannel,
    }));
  }

  #ask(positions: Positions): void {
    if (Object.keys(positions).length > 0) this.#connection.send({ type: "sync", positions });
  }

  #change(id: string, change: (channel: Channel) => Channel): void {
    const before = this.store.get().channels.get(id);
    if (before === undefined) return;
    const after = change(before);
    if (after !== before) this.store.update((s) => ({ channels: withEntry(s.channels, id, after) }));
  }

  #writeTimeline(id: string, timeline: Timeline): void {
    this.#change(id, (c) => ({ ...c, timeline }));
  }

  /** Keeps a growing timeline within its window: at the end that nobody looks at. */
  #bounded(channel: Channel): Channel {
    const { timeline } = channel;
    const { windowMax, windowKeep } = this.#limits;
    if (timeline === null || timeline.messages.length <= windowMax) return channel;
    const away = this.store.get().openChannel === channel.id && !this.#following;
    return { ...channel, timeline: away ? dropNewest(timeline, windowKeep) : dropOldest(timeline, windowKeep) };
  }

  /** Someone may come back soon: one page stays. */
  #close(id: string): void {
    this.#change(id, (c) => {
      if (c.timeline === null) return c;
      return { ...c, timeline: c.timeline.atEnd ? dropOldest(c.timeline, this.#limits.page) : null };
    });
    this.#history.forget(id);
  }

  async #attempt(load: (channel: string) => Promise<void>): Promise<void> {
    const id = this.store.get().openChannel;
    if (id === null) return;
    try {
      await load(id);
      this.store.update(() => ({ loadFailure: null }));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.store.update(() => ({ loadFailure: error.reason }));
    }
  }
}
