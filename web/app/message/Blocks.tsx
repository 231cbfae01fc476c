/** The blocks of a bot's message: text, pictures, and the buttons and selects with which the caller answers the bot. */
import { useId, useRef, useState } from "react";

import { newKey } from "../../client";
import type { Block, Message } from "../../client";
import type { Answer } from "../../client/integrations";
import { useClient } from "../state/client";
import { useConversation } from "../state/conversation";
import { useAttempt } from "../state/useAttempt";
import { lineOf } from "../text/isolation";
import { RichText } from "../text/RichText";
import { botRefusal } from "../text/wording";
import { Picture } from "./Attachments";

const types: readonly string[] = ["text", "image", "buttons", "select"];

/** The blocks to show; null if the message has none, or one that this version does not know: then its text is shown. */
export function blocksOf({ blocks, deleted }: Message): readonly Block[] | null {
  if (deleted || blocks === undefined || blocks.length === 0) return null;
  return blocks.every(({ type }) => types.includes(type)) ? blocks : null;
}

/** The attachments that no block shows. */
export function unshown(message: Message) {
  const shown = new Set(blocksOf(message)?.flatMap((block) => (block.type === "image" ? [block.upload] : [])));
  return shown.size === 0 ? message.attachments : message.attachments.filter(({ id }) => !shown.has(id));
}

export function Blocks({ message, blocks }: { message: Message; blocks: readonly Block[] }) {
  const { role } = useConversation();
  const { chosen, answer, failure, choose } = useChoice(message);
  const enabled = role !== "reader" && chosen === null;

  return (
    <div className="blocks" data-testid="blocks">
      {blocks.map((block, index) => {
        switch (block.type) {
          case "text":
            return (
              <p key={index} className="message-text" dir="auto">
                <RichText text={block.text} />
              </p>
            );
          case "image": {
            const attachment = message.attachments.find(({ id }) => id === block.upload);
            return attachment === undefined ? null : <Picture key={index} attachment={attachment} alt={lineOf(block.alt)} />;
          }
          case "buttons":
            return (
              <div key={index} className="block-choices" role="group">
                {block.buttons.map(({ value, text }) => (
                  <button
                    key={value}
                    type="button"
                    className="button"
                    data-testid="block-button"
                    aria-disabled={!enabled}
                    aria-busy={chosen === `${block.id} ${value}`}
                    onClick={() => enabled && void choose(block.id, value)}
                  >
                    <bdi>{lineOf(text)}</bdi>
                  </button>
                ))}
              </div>
            );
          case "select":
            return <Select key={index} block={block} enabled={enabled} busy={chosen?.startsWith(`${block.id} `) === true} onChoose={(value) => void choose(block.id, value)} />;
        }
      })}
      <p className="block-answer" role="status" data-testid="block-answer">
        {chosen !== null && <span className="muted">Waiting for an answer…</span>}
        {answer?.visibility === "later" && <span className="muted">Sent.</span>}
        {answer?.text !== undefined && (
          <>
            <bdi>{answer.text}</bdi> <span className="muted">Only you can see this.</span>
          </>
        )}
      </p>
      {failure !== null && (
        <p className="message-failure" role="alert">
          {failure}
        </p>
      )}
    </div>
  );
}

interface SelectProps {
  block: Block & { type: "select" };
  enabled: boolean;
  busy: boolean;
  onChoose: (value: string) => void;
}

/** The button sends the choice, so that the arrow keys can move through the options first. */
function Select({ block, enabled, busy, onChoose }: SelectProps) {
  const id = useId();
  const [value, setValue] = useState("");
  return (
    <div className="block-select">
      <label htmlFor={id}>
        <bdi>{lineOf(block.label)}</bdi>
      </label>
      <div className="block-choices">
        <select id={id} className="input" data-testid="block-select" value={value} disabled={!enabled} onChange={(event) => setValue(event.target.value)}>
          <option value="" />
          {block.options.map((option) => (
            <option key={option.value} value={option.value}>
              {lineOf(option.text)}
            </option>
          ))}
        </select>
        <button type="button" className="button" data-testid="block-choose" aria-busy={busy} disabled={!enabled || value === ""} onClick={() => onChoose(value)}>
          Choose
        </button>
      </div>
    </div>
  );
}

/** `chosen` is what the bot is being asked, as "<block> <value>"; `answer` is its last answer. */
function useChoice(message: Message) {
  const client = useClient();
  const [chosen, setChosen] = useState<string | null>(null);
  const [answer, setAnswer] = useState<Answer | null>(null);
  const { failure, attempt } = useAttempt(botRefusal);
  /** Of a choice that failed: its repeat has the same key. */
  const failed = useRef<{ choice: string; key: string } | null>(null);

  async function choose(block: string, value: string) {
    const choice = `${block} ${value}`;
    const key = failed.current?.choice === choice ? failed.current.key : newKey();
    setChosen(choice);
    setAnswer(null);
    const done = await attempt(async () => setAnswer(await client.integrations.runAction(message.channel, message.id, { block, value, key })));
    failed.current = done ? null : { choice, key };
    setChosen(null);
  }

  return { chosen, answer, failure, choose };
}
