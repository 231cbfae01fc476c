/**
 * Convergence: catch-up, live events, history, disconnects, lost and repeated frames, and resets happen in random order. A
 * client at rest must show exactly what the model server has.
 */
import fc from "fast-check";
import { expect, test } from "vitest";

import { unread } from "../client/channel";
import type { Message } from "../client/shapes";
import { me } from "./modelServer";
import { World } from "./world";
import { settled } from "./fakeClock";

const channels = ["a", "b"] as const;
const limits = { page: 4, span: 6, windowMax: 12, windowKeep: 7, recorded: 5 };

type Step =
  | { do: "change"; channel: (typeof channels)[number]; mine: boolean; what: number; which: number }
  | { do: "burst"; channel: (typeof channels)[number]; count: number }
  | { do: "flush" | "serve" | "deliver" | "lose" | "repeat" | "drop" | "fail" | "older" | "newer" | "latest" | "look away" | "reload" }
  | { do: "answer"; which: number }
  | { do: "scroll"; up: boolean; times: number }
  | { do: "open"; channel: (typeof channels)[number] }
  | { do: "follow"; following: boolean }
  | { do: "bound"; events: number }
  | { do: "go back"; channel: (typeof channels)[number]; seq: number }
  | { do: "list"; channels: number }
  | { do: "wait"; ms: number };

const channel = fc.constantFrom(...channels);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant("change" as const), channel, mine: fc.boolean(), what: fc.nat(9), which: fc.nat(30) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("burst" as const), channel, count: fc.integer({ min: 1, max: 14 }) }) },
  { weight: 3, arbitrary: fc.constant({ do: "flush" as const }) },
  { weight: 8, arbitrary: fc.constant({ do: "serve" as const }) },
  { weight: 16, arbitrary: fc.constant({ do: "deliver" as const }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("answer" as const), which: fc.nat(3) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("scroll" as const), up: fc.boolean(), times: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 6, arbitrary: fc.constantFrom<Step>({ do: "older" }, { do: "newer" }, { do: "latest" }, { do: "look away" }) },
  { weight: 3, arbitrary: fc.constantFrom<Step>({ do: "lose" }, { do: "repeat" }, { do: "drop" }, { do: "fail" }, { do: "reload" }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("open" as const), channel }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("follow" as const), following: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("bound" as const), events: fc.integer({ min: 0, max: 12 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("go back" as const), channel, seq: fc.nat(40) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("list" as const), channels: fc.integer({ min: 0, max: 2 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 5000 }) }) },
);

function change(world: World, { channel, mine, what, which }: Step & { do: "change" }): void {
  const { server } = world;
  const actor = mine ? me : "ada";
  const candidates = server.room(channel).messages.filter((m) => !m.deleted);
  const target = candidates[which % Math.max(1, candidates.length)];
  if (target === undefined || what <= 3) server.append(channel, actor, { kind: "message.posted", text: `text ${which}` });
  else if (what === 4) server.append(channel, target.sender, { kind: "message.edited", message: target.id, text: `edited ${which}` });
  else if (what === 5) server.append(channel, target.sender, { kind: "message.deleted", message: target.id });
  else if (what === 6) server.append(channel, actor, { kind: "reaction.added", message: target.id, emoji: "x" });
  else if (what === 7) server.append(channel, actor, { kind: "reaction.removed", message: target.id, emoji: "x" });
  else if (what === 8) server.append(channel, actor, { kind: target.pinned ? "message.unpinned" : "message.pinned", message: target.id });
  else server.append(channel, actor, { kind: "unknown.kind" });
}

async function take(world: World, one: Step): Promise<void> {
  const { client, server, socket, view } = world;
  switch (one.do) {
    case "change": change(world, one); break;
    case "burst":
      for (let n = 0; n < one.count; n++) server.append(one.channel, "ada", { kind: "message.posted", text: "burst" });
      break;
    case "flush": await world.flush(); break;
    case "serve": socket?.serve(); break;
    case "deliver": socket?.deliver(); break;
    case "lose": if (socket?.toClient[0]?.type === "event") socket.toClient.shift(); break;
    case "repeat": if (socket?.toClient[0] !== undefined) socket.toClient.unshift(socket.toClient[0]); break;
    case "drop": socket?.drop(); break;
    case "answer": await world.answer(one.which); break;
    case "scroll":
      for (let n = 0; n < one.times; n++) {
        void (one.up ? view.older() : view.newer());
        await world.flush();
      }
      break;
    case "fail": server.asked.shift()?.fail(); break;
    case "older": void view.older(); break;
    case "newer": void view.newer(); break;
    case "latest": void view.latest(); break;
    case "look away": client.open(null); break;
    case "reload": world.reload(); break;
    case "open": client.open(one.channel); break;
    case "follow": view.follow(one.following); break;
    case "bound": server.syncEvents = one.events; break;
    case "go back": server.goBack(one.channel, one.seq); break;
    case "list": server.helloChannels = one.channels; break;
    case "wait": world.clock.advance(one.ms); break;
  }
  await settled();
}

/** Comparable: reactions are sets. */
function plain(message: Message): unknown {
  const reactions = message.reactions.map(({ emoji, count, users }) => ({ emoji, count, users: [...users].sort() }));
  // The edit of a deleted message is sent without its text, so its time is unknown; it is not shown.
  return { ...message, reactions, edited_at: message.deleted ? null : message.edited_at };
}

function agrees(world: World): void {
  for (const id of channels) {
    const room = world.server.room(id);
    const state = world.client.store.get().channels.get(id);
    expect(state?.seq).toBe(room.log.length);
    expect(state?.last === null ? undefined : state?.last.seq).toBe(room.messages.at(-1)?.seq);
    if (state !== undefined) expect(unread(state)).toBe(world.server.unread(id));
    const timeline = state?.timeline ?? null;
    if (timeline === null) continue;
    const first = timeline.messages[0]?.seq ?? 0;
    const last = timeline.atEnd ? Number.POSITIVE_INFINITY : (timeline.messages.at(-1)?.seq ?? 0);
    const truth = room.messages.filter((m) => m.seq >= first && m.seq <= last);
    expect(timeline.messages.map(plain)).toEqual(truth.map(plain));
    if (timeline.atStart) expect(first).toBe(room.messages[0]?.seq ?? 0);
    expect(timeline.messages.length).toBeLessThanOrEqual(limits.windowMax);
  }
}

// The run ends by its count; the timeout allows for slow machines.
const timeoutMs = 120_000;

test("a client at rest shows what the log contains", { timeout: timeoutMs }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(60), fc.array(step, { minLength: 10, maxLength: 120, size: "max" }), async (before, steps) => {
      const world = new World(limits);
      for (const id of channels) for (let n = 0; n < before; n++) change(world, { do: "change", channel: id, mine: n % 3 === 0, what: n % 10, which: n });
      for (const id of channels) world.server.room(id);
      await world.started();
      world.client.open("a");
      for (const one of steps) await take(world, one);
      // A gap at the very end is detected with the next event.
      await world.rest();
      for (const id of channels) world.server.append(id, "ada", { kind: "message.posted", text: "end" });
      await world.rest();
      await world.rest();
      agrees(world);
    }),
    { numRuns: Number(process.env["RUNS"] ?? 200) },
  );
});
