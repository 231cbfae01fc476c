/** The app's pure parts: rows, texts, addresses. */
import { renderToStaticMarkup } from "react-dom/server";
import { createElement } from "react";
import { describe, expect, test } from "vitest";

import { completions, meaningOf } from "../app/composer/slash";
import { rowsOf } from "../app/conversation/rows";
import { placeOf } from "../app/browser/route";
import { deliveryWords, stateWords } from "../app/integrations/webhookWords";
import { blocksOf, unshown } from "../app/message/Blocks";
import { browserWords } from "../app/text/browserWords";
import { isolated, unmarked } from "../app/text/isolation";
import { isJumbo, RichText } from "../app/text/RichText";
import { Sentence } from "../app/text/Sentence";
import { isShared } from "../app/text/sharedNames";
import { listNames, personName, plainText, refusal } from "../app/text/wording";
import type { LogEvent } from "../client/frames";
import type { Block, Message } from "../client/shapes";
import { applyToMessage, messageFrom } from "../client/timeline";

const message = (seq: number, sender: string, minute: number, day = 1): Message => ({
  id: `m${seq}`, channel: "a", seq, sender, text: "t", at: new Date(2026, 0, day, 12, minute).toISOString(), edited_at: null,
  deleted: false, thread: null, attachments: [], mentions: [], reactions: [], pinned: false,
});

const shape = (messages: readonly Message[], newAfter: number | null = null) =>
  rowsOf({ messages, pending: [], newAfter, me: "me" }).map((row) => (row.type === "message" ? `${row.message.seq}${row.headed ? " head" : ""}` : row.type));

describe("rows", () => {
  test("one author within five minutes shares a head; a pause, another author or another day starts a new one", () => {
    const messages = [message(1, "ada", 0), message(2, "ada", 4), message(3, "ada", 20), message(4, "ben", 20), message(5, "ben", 20, 2)];
    expect(shape(messages)).toEqual(["day", "1 head", "2", "3 head", "4 head", "day", "5 head"]);
  });

  test("the line is above the first message of others after the mark", () => {
    expect(shape([message(1, "ada", 0), message(2, "me", 0), message(3, "ada", 0)], 1)).toEqual(["day", "1 head", "2 head", "new", "3 head"]);
  });

  test("no line without a new message", () => {
    expect(shape([message(1, "ada", 0), message(2, "me", 0)], 1)).toEqual(["day", "1 head", "2 head"]);
  });
});

describe("slash commands", () => {
  const command = (name: string) => ({ name, description: "", hint: "", bot: "bot:1" });

  test("a text with a slash is a command, with two slashes the message with one, and else a message", () => {
    expect(meaningOf("/weather Oslo\nand Bergen")).toEqual({ is: "command", name: "weather", text: "Oslo\nand Bergen" });
    expect(meaningOf("/weather")).toEqual({ is: "command", name: "weather", text: "" });
    expect(meaningOf("/")).toEqual({ is: "command", name: "", text: "" });
    expect(meaningOf("/usr/bin is a folder")).toEqual({ is: "command", name: "usr/bin", text: "is a folder" });
    expect(meaningOf("//weather Oslo")).toEqual({ is: "message", text: "/weather Oslo" });
    expect(meaningOf("and/or")).toEqual({ is: "message", text: "and/or" });
  });

  test("the beginning of a name is completed until the name ends", () => {
    const commands = [command("deploy"), command("weather"), command("week")];
    const names = (text: string) => completions(commands, text).map(({ name }) => name);
    expect(names("/")).toEqual(["deploy", "weather", "week"]);
    expect(names("/We")).toEqual(["weather", "week"]);
    expect([names("/weather "), names("//we"), names("we"), names("/x")]).toEqual([[], [], [], []]);
  });
});

describe("webhooks", () => {
  test("their state and their deliveries are said in words", () => {
    expect(stateWords({ reason: "", waiting: 3, dead: 1 })).toBe("Active · 3 waiting · 1 failed");
    expect(stateWords({ reason: "gone", waiting: 0, dead: 0 })).toBe("Disabled: its server answered that it is gone");
    expect(deliveryWords({ state: "dead", status: 500, outcome: "refused", attempts: 12 })).toBe("Failed · status 500 · 12 attempts");
    expect(deliveryWords({ state: "waiting", status: 0, outcome: "timeout", attempts: 1 })).toBe("Waiting · no answer in time");
    expect(deliveryWords({ state: "waiting", status: 0, outcome: "", attempts: 0 })).toBe("Waiting");
  });
});

describe("blocks", () => {
  const buttons: Block = { type: "buttons", id: "review", buttons: [{ value: "yes", text: "Approve" }] };
  const image: Block = { type: "image", upload: "u1", alt: "A chart" };
  const posted: LogEvent = { type: "event", channel: "a", seq: 1, kind: "message.posted", actor: "bot:1", at: "2026-01-01T00:00:00Z", data: { message: "m1", text: "Deploy?", blocks: [buttons] } };
  const edited = (data: { text: string | null; sealed?: string; blocks?: readonly Block[] }): LogEvent => ({ ...posted, seq: 2, kind: "message.edited", data: { message: "m1", ...data } });

  test("are replaced by an edit together with the text, and gone after a deletion", () => {
    const found = messageFrom(posted);
    expect(blocksOf(found)).toEqual([buttons]);
    expect(blocksOf(applyToMessage(found, edited({ text: "Which?", blocks: [image] })))).toEqual([image]);
    expect(applyToMessage(found, edited({ text: "Approved" })).blocks).toBeUndefined();
    expect(applyToMessage(found, { ...posted, seq: 3, kind: "message.deleted", data: { message: "m1" } }).blocks).toBeUndefined();
  });

  test("are not shown in part: with one of an unknown type the text is", () => {
    const unknown = [buttons, { type: "carousel" }] as unknown as readonly Block[];
    expect(blocksOf({ ...messageFrom(posted), blocks: unknown })).toBeNull();
  });

  test("show their pictures in place of the attachments", () => {
    const file = { id: "u2", name: "a.txt", size: 1, type: "text/plain" };
    const attachments = [{ id: "u1", name: "a.png", size: 1, type: "image/png" }, file];
    expect(unshown({ ...messageFrom(posted), attachments, blocks: [image] })).toEqual([file]);
  });
});

describe("sealed content", () => {
  const posted: LogEvent = { type: "event", channel: "a", seq: 1, kind: "message.posted", actor: "ada", at: "2026-01-01T00:00:00Z", data: { message: "m1", text: null, sealed: "AP9z" } };
  const edited = (data: { text: string | null; sealed?: string }): LogEvent => ({ ...posted, seq: 2, kind: "message.edited", data: { message: "m1", ...data } });

  test("is shown as an encrypted message, neither empty nor deleted", () => {
    const found = messageFrom(posted);
    expect(found.deleted).toBe(false);
    expect(plainText(found)).toBe("Encrypted message");
  });

  test("an edit replaces one kind of content by the other, and a deletion removes both", () => {
    const sealed = messageFrom(posted);
    const open = applyToMessage(sealed, edited({ text: "now readable" }));
    expect(plainText(open)).toBe("now readable");
    expect(applyToMessage(open, edited({ text: null, sealed: "AP90" })).sealed).toBe("AP90");
    const gone = applyToMessage(sealed, { ...posted, seq: 3, kind: "message.deleted", data: { message: "m1" } });
    expect([gone.sealed, plainText(gone)]).toEqual([undefined, "Message deleted"]);
  });
});

describe("text", () => {
  const html = (text: string) => renderToStaticMarkup(createElement(RichText, { text }));

  test("stays text", () => {
    expect(html('<img src=x onerror="alert(1)">')).toBe("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;");
  });

  test("links http and https only, without the punctuation around them", () => {
    expect(html("see (https://example.com/a?b=1).")).toBe(
      'see (<a href="https://example.com/a?b=1" target="_blank" rel="noopener noreferrer nofollow">https://example.com/a?b=1</a>).',
    );
    expect(html("javascript:alert(1) data:text/html,x")).not.toContain("<a");
  });

  test("a link is shown as the browser reads it", () => {
    const shown = (text: string) => /<a [^>]*>([^<]*)<[/]a>/.exec(html(text))?.[1];
    expect(shown("https://a.example/\u202egnp.exe")).toBe("https://a.example/%E2%80%AEgnp.exe");
    expect(shown("https://a.example/x\u2066y\u200b")).toBe("https://a.example/x%E2%81%A6y%E2%80%8B");
    expect(shown("https://a.example\\@b.example/")).toBe("https://a.example/@b.example/");
    expect(shown("https://\u0430pple.example/")).toBe("https://xn--pple-43d.example/");
    expect(shown("https://bank.example:x@evil.example/")).toBeUndefined();
  });

  test("up to three emoji alone are large", () => {
    expect(["👍", "👩‍👩‍👧 🎉", "👍👍👍👍", "ok 👍", "3"].map(isJumbo)).toEqual([true, true, false, false, false]);
  });

  test("a name stays in its place in a sentence", () => {
    const sentence = (text: string) => renderToStaticMarkup(createElement(Sentence, { text }));
    expect(sentence(`Block ${isolated("Ann\u2069\u202e")}?`)).toBe("Block <bdi>Ann</bdi>?");
    expect(sentence(listNames([isolated("\u2067A"), isolated("B\u200f")]))).toBe("<bdi>A</bdi> and <bdi>B</bdi>");
    expect(unmarked(`Block ${isolated("Ann")}?`)).toBe("Block Ann?");
  });

  test("names are shown without the characters that reorder text", () => {
    const file = { ...message(1, "ada", 0), text: "", attachments: [{ id: "u", name: "invoice\u202egpj.exe", size: 1, type: "" }] };
    expect(plainText(file)).toBe("invoicegpj.exe");
    expect(personName({ names: new Map([["ann", "nnA\u202e"]]) }, "ann")).toBe("nnA");
  });

  test("users with names that look alike are found", () => {
    const names = new Map([["ann", "Ann"], ["a2", "A\u200bnn"], ["a3", "\uff21NN "], ["ben", "Ben"], ["eve", "carl"], ["carl", "Carl C."], ["zoe", "Zoe"]]);
    expect([...names.keys()].filter((user) => isShared(names, user))).toEqual(["ann", "a2", "a3", "eve"]);
  });

  test("a browser is named as its user knows it", () => {
    const webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
    expect(
      [
        "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
        `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${webkit} Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0`,
        `Mozilla/5.0 (Linux; Android 10; K) ${webkit} Chrome/130.0.0.0 Mobile Safari/537.36`,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
        "",
        "\u202eedoc",
      ].map(browserWords),
    ).toEqual(["Firefox on Linux", "Edge on Windows", "Chrome on Android", "Safari on iPhone", "Browser", "Browser"]);
  });

  test("any address is a place", () => {
    expect(["", "#/", "#/c/", "#/c/a%20b/7", "#/c/%", "#/c/%E0%A4%A/%", "#/c/a/1e3", "#/c/a/-1", "#/x/%"].map(placeOf)).toEqual([
      { channel: null, seq: null }, { channel: null, seq: null }, { channel: null, seq: null }, { channel: "a b", seq: 7 }, { channel: "%", seq: null },
      { channel: "%E0%A4%A", seq: null }, { channel: "a", seq: null }, { channel: "a", seq: null }, { channel: null, seq: null },
    ]);
  });

  test("a refusal for the rate names the time to wait", () => {
    expect(refusal({ reason: "RATE_LIMITED", retryAfterMs: 11_200 })).toContain("in 12 seconds");
    expect(refusal({ reason: "RATE_LIMITED", retryAfterMs: 61_000 })).toContain("in 2 minutes");
    expect(refusal({ reason: "RATE_LIMITED" })).toContain("in a moment");
  });

  test("names are listed as in a sentence", () => {
    expect([[], ["A"], ["A", "B"], ["A", "B", "C"], ["A", "B", "C", "D"]].map((names) => listNames(names))).toEqual([
      "", "A", "A and B", "A, B and 1 other", "A, B and 2 others",
    ]);
  });
});
