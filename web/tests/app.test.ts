/** The app's pure parts: rows and links. */
import { renderToStaticMarkup } from "react-dom/server";
import { createElement } from "react";
import { describe, expect, test } from "vitest";

import { rowsOf } from "../app/conversation/rows";
import { isJumbo, RichText } from "../app/text/RichText";
import { listNames } from "../app/text/wording";
import type { Message } from "../client/shapes";

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

  test("up to three emoji alone are large", () => {
    expect(["👍", "👩‍👩‍👧 🎉", "👍👍👍👍", "ok 👍", "3"].map(isJumbo)).toEqual([true, true, false, false, false]);
  });

  test("names are listed as in a sentence", () => {
    expect([[], ["A"], ["A", "B"], ["A", "B", "C"], ["A", "B", "C", "D"]].map((names) => listNames(names))).toEqual([
      "", "A", "A and B", "A, B and 1 other", "A, B and 2 others",
    ]);
  });
});
