/** What users notice: unread counts, read positions, typing, receipts, being removed. */
import { describe, expect, test } from "vitest";

import { unread } from "../client/channel";
import type { ServerFrame } from "../client/frames";
import { me } from "./modelServer";
import { settled } from "./fakeClock";
import { World } from "./world";

const post = (world: World, actor = "ada") => world.server.append("a", actor, { kind: "message.posted", text: "hi" });
const channel = (world: World) => world.client.store.get().channels.get("a");
const count = (world: World) => {
  const known = channel(world);
  return known === undefined ? null : unread(known);
};

async function started(before = 0): Promise<World> {
  const world = new World();
  world.server.room("a");
  for (let n = 0; n < before; n++) post(world);
  return world.started();
}

async function hear(world: World, frame: ServerFrame): Promise<void> {
  world.socket?.toClient.push(frame);
  await world.flush();
}

describe("client", () => {
  test("unread is the server's count plus the messages since, whichever arrives first", async () => {
    const world = new World();
    world.server.room("a");
    post(world);
    world.client.start();
    await settled();
    await world.answer();
    for (let n = 0; n < 3; n++) world.socket?.deliver();
    world.socket?.serve();
    const late = world.server.asked.splice(0);
    post(world);
    await world.flush();
    for (const asked of late) asked.answer();
    await world.flush();
    expect(count(world)).toBe(2);
  });

  test("a long channel list is loaded page by page, and only its end makes it complete", async () => {
    const world = new World();
    world.server.channelsPerPage = 2;
    for (const id of ["a", "b", "c", "d", "e"]) {
      world.server.room(id);
      world.server.append(id, "ada", { kind: "message.posted", text: id });
    }
    world.client.start();
    const known = () => [...world.client.store.get().channels.values()].filter(({ last }) => last !== null).length;
    const steps: [number, boolean][] = [];
    await settled();
    for (let turn = 0; turn < 40; turn++) {
      const step: [number, boolean] = [known(), world.client.store.get().listed];
      if (String(steps.at(-1)) !== String(step)) steps.push(step);
      const { socket } = world;
      if (!(await world.answer()) && socket?.serve() !== true) socket?.deliver();
      await settled();
    }
    expect(steps).toEqual([[0, false], [2, false], [4, false], [5, true]]);
  });

  test("an invitation that was answered is gone, one that was refused stays", async () => {
    const world = await started();
    const { people } = world;
    const invitation = { kind: "group", name: "Club", inviter: "ada", role: "member", at: "" } as const;
    world.client.store.update(() => ({ invitations: ["b", "c"].map((id) => ({ ...invitation, channel: id })) }));
    const refused = people.answerInvitation("b", true).catch((error: unknown) => error);
    await world.flush();
    expect(await refused).toMatchObject({ reason: "NOT_FOUND" });
    expect(world.client.store.get().invitations).toHaveLength(2);
    world.server.room("c");
    const joined = people.answerInvitation("c", true);
    await world.flush();
    expect(await joined).toMatchObject({ id: "c" });
    expect(world.client.store.get().invitations.map(({ channel: id }) => id)).toEqual(["b"]);
  });

  test("an invitation that comes over the socket is shown until its channel is joined", async () => {
    const world = await started();
    const invitation = { channel: "b", kind: "group", name: "Club", inviter: "ada", role: "member", at: "" } as const;
    for (let times = 0; times < 2; times += 1) await hear(world, { type: "invited", invitation });
    expect(world.client.store.get().invitations).toEqual([invitation]);
    await hear(world, { type: "joined", channel: { id: "b", kind: "group", name: "Club", role: "member", seq: 1, read_seq: 0 } });
    expect(world.client.store.get().invitations).toEqual([]);
  });

  test("reading clears the badge at once and sends the highest of several positions, once", async () => {
    const world = await started(3);
    world.client.read("a", 2);
    world.client.read("a", 3);
    expect(count(world)).toBe(0);
    world.clock.advance(300);
    expect(world.socket?.toServer).toEqual([{ type: "read", channel: "a", seq: 3 }]);
  });

  test("reading the last message clears the badge, also if other events follow it", async () => {
    const world = new World();
    world.server.room("a");
    post(world);
    world.server.append("a", "ada", { kind: "channel.updated", name: "new name" });
    await world.started();
    expect(count(world)).toBe(1);
    world.client.read("a", 1);
    expect(count(world)).toBe(0);
  });

  test("a read position set while disconnected is sent after the reconnect", async () => {
    const world = await started(3);
    world.socket?.drop();
    world.client.read("a", 3);
    world.clock.advance(300);
    await world.rest();
    expect(world.server.room("a").readSeq).toBe(3);
  });

  test("reading on another device clears the badge here", async () => {
    const world = await started(3);
    await hear(world, { type: "receipt", channel: "a", user: me, read_seq: 3 });
    expect(count(world)).toBe(0);
  });

  test("sending moves the caller's read position", async () => {
    const world = await started(3);
    post(world, me);
    await world.flush();
    expect(count(world)).toBe(0);
  });

  test("others' receipts only move forward", async () => {
    const world = await started(3);
    await hear(world, { type: "receipt", channel: "a", user: "ada", read_seq: 3 });
    await hear(world, { type: "receipt", channel: "a", user: "ada", read_seq: 2 });
    expect(channel(world)?.receipts.get("ada")).toBe(3);
  });

  test("typing shows until the message comes or 6 s pass", async () => {
    const world = await started();
    const typing = () => world.client.store.get().typing.get("a");
    await hear(world, { type: "typing", channel: "a", user: "ada" });
    expect(typing()).toEqual(["ada"]);
    post(world);
    await world.flush();
    expect(typing()).toEqual([]);
    await hear(world, { type: "typing", channel: "a", user: "ada" });
    world.clock.advance(6_000);
    expect(typing()).toEqual([]);
  });

  test("key presses signal typing at most every 3 s", async () => {
    const world = await started();
    for (let n = 0; n < 7; n++) {
      world.client.typed("a");
      world.clock.advance(1_000);
    }
    expect(world.socket?.toServer).toHaveLength(3);
  });

  test("goTo loads an old message and those around it, and returns false for a number without a message", async () => {
    const world = new World({ page: 3, span: 4, windowMax: 50, windowKeep: 40, recorded: 100 });
    world.server.room("a");
    for (let n = 0; n < 20; n++) post(world);
    await world.started();
    world.client.open("a");
    await world.flush();
    const seqs = () => channel(world)?.timeline?.messages.map((m) => m.seq);
    const gone = async (seq: number) => {
      const there = world.view.goTo(seq);
      await world.flush();
      return there;
    };
    expect(await gone(7)).toBe(true);
    expect(seqs()).toEqual([5, 6, 7, 8, 9, 10, 11]);
    expect(await gone(9)).toBe(true);
    expect(seqs()).toEqual([5, 6, 7, 8, 9, 10, 11]);
    expect(await gone(99)).toBe(false);
  });

  test("a channel that the caller left is removed, and its events are ignored", async () => {
    const world = await started(3);
    world.client.open("a");
    await world.flush();
    await hear(world, { type: "left", channel: "a" });
    post(world);
    await world.flush();
    expect(channel(world)).toBeUndefined();
    expect(world.client.store.get().openChannel).toBeNull();
  });

  test("a channel joined while connected starts at its number and gets its name and count", async () => {
    const world = await started();
    world.server.append("b", "ada", { kind: "message.posted", text: "welcome" });
    await hear(world, { type: "joined", channel: world.server.head("b") });
    const gained = world.client.store.get().channels.get("b");
    expect(gained?.seq).toBe(1);
    expect(gained?.last?.text).toBe("welcome");
  });

  test("a command ends with its answer, or with UNAVAILABLE without one", async () => {
    const world = await started(1);
    const edit = { type: "edit", channel: "a", message: "a-1", text: "x" } as const;
    const done = world.client.run(edit);
    await hear(world, { type: "ack", ref: "c1", channel: "a", seq: 2, message: "a-1", at: "" });
    expect(await done).toMatchObject({ seq: 2 });
    const refused = expect(world.client.run(edit)).rejects.toMatchObject({ reason: "NOT_ALLOWED" });
    await hear(world, { type: "error", ref: "c2", reason: "NOT_ALLOWED", detail: "no" });
    await refused;
    const lost = expect(world.client.run(edit)).rejects.toMatchObject({ reason: "UNAVAILABLE" });
    world.socket?.drop();
    await lost;
  });

  test("a chosen status is sent again on the next connection", async () => {
    const world = await started();
    world.client.setStatus("dnd");
    expect(world.socket?.toServer).toEqual([{ type: "status", status: "dnd" }]);
    world.socket?.drop();
    world.clock.advance(2_000);
    await settled();
    await world.answer();
    while (world.socket?.deliver() === true);
    expect(world.socket?.toServer).toContainEqual({ type: "status", status: "dnd" });
  });

  test("the watched users are sent again on the next connection", async () => {
    const world = await started();
    world.client.watch(["ben", "ada", "ben"]);
    expect(world.socket?.toServer).toEqual([{ type: "watch", users: ["ada", "ben"] }]);
    world.socket?.drop();
    world.clock.advance(2_000);
    await settled();
    await world.answer();
    while (world.socket?.deliver() === true);
    expect(world.socket?.toServer).toContainEqual({ type: "watch", users: ["ada", "ben"] });
  });

  test("a message that the store acknowledged and lost is sent again, and nothing that is gone is shown", async () => {
    const world = await started(2);
    world.client.open("a");
    await world.flush();
    world.client.send({ channel: "a", text: "mine" });
    await world.flush();
    post(world);
    await world.flush();
    world.server.goBack("a", 1);
    world.server.append("a", "ada", { kind: "message.posted", text: "in place of a lost one" });
    await world.rest();
    const shown = channel(world)?.timeline?.messages.map((message) => message.text);
    expect(shown).toEqual(["hi", "in place of a lost one", "mine"]);
    expect(world.server.room("a").messages.map((message) => message.text)).toEqual(shown);
    expect(world.client.store.get().outbox).toEqual([]);
  });

  test("a channel that hello had no room for appears with its first event, and can be opened before", async () => {
    const world = new World();
    world.server.helloChannels = 0;
    world.server.channelsPerPage = 1;
    for (const id of ["z", "a", "b", "c"]) world.server.room(id);
    await world.started();
    const known = () => [...world.client.store.get().channels.keys()];
    expect(known()).toEqual(["z"]);
    post(world);
    await world.flush();
    expect(count(world)).toBe(1);
    world.client.open("b");
    await world.flush();
    expect(world.client.store.get().channels.get("b")?.timeline?.atEnd).toBe(true);
    expect(known()).toEqual(["z", "a", "b"]);
    while (world.client.store.get().moreChannels) {
      void world.client.directory.loadMoreChannels();
      await world.flush();
    }
    expect(known()).toEqual(["z", "a", "b", "c"]);
    expect(count(world)).toBe(1);
  });

  test("a large channel counts: readers of one's own message, and members", async () => {
    const world = await started(1);
    await hear(world, { type: "seen", channel: "a", seq: 1, count: 4_000 });
    await hear(world, { type: "members", channel: "a", count: 5_000 });
    expect(channel(world)).toMatchObject({ seen: { seq: 1, count: 4_000 }, members: 5_000 });
  });

  test("a joining changes the member list in place", async () => {
    const world = await started(1);
    world.client.open("a");
    await world.flush();
    const seq = (channel(world)?.seq ?? 0) + 1;
    await hear(world, { type: "event", channel: "a", seq, kind: "member.joined", actor: "bea", at: "", data: { user: "bea", role: "member" } });
    expect(world.client.store.get().members.get("a")?.members.map(({ user }) => user)).toContain("bea");
  });

  test("members that were read before an event about them are read again", async () => {
    const world = await started(1);
    world.client.open("a");
    await settled();
    const members = () => world.server.asked.filter(({ path }) => path.includes("/members"));
    const [first] = members();
    world.server.asked.splice(0);
    const seq = (channel(world)?.seq ?? 0) + 1;
    await hear(world, { type: "event", channel: "a", seq, kind: "member.left", actor: "bea", at: "", data: { user: "bea" } });
    first?.answer();
    await settled();
    expect(members()).toHaveLength(1);
  });
});
