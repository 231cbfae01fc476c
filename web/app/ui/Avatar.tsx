/** Avatars: a person's initials on one of twelve tints chosen by id, with an optional presence dot; a channel's icon. */
import type { Kind, Status } from "../../client";
import { HashIcon, MegaphoneIcon, PeopleIcon, QuestionIcon } from "./icons";

const tints = 12;

function tintOf(id: string): number {
  // FNV-1a spreads short, similar ids.
  let hash = 0x811c9dc5;
  for (const char of id) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return hash % tints;
}

function initials(name: string): string {
  const words = name.trim().split(/[\s._-]+/u).filter((word) => word !== "");
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((word) => firstLetter(word ?? "")).join("").toUpperCase();
}

function firstLetter(word: string): string {
  return new Intl.Segmenter().segment(word)[Symbol.iterator]().next().value?.segment ?? "";
}

export function PersonAvatar({ id, name, status }: { id: string; name: string; status?: Status | undefined }) {
  return (
    <span className={`avatar tint-${tintOf(id)}`} aria-hidden="true">
      {initials(name)}
      {status !== undefined && <span className={`presence presence-${status}`} data-status={status} />}
    </span>
  );
}

export function ChannelAvatar({ kind }: { kind: Kind }) {
  return (
    <span className="avatar avatar-channel" aria-hidden="true">
      {kind === "group" ? <PeopleIcon /> : kind === "broadcast" ? <MegaphoneIcon /> : kind === "qa" ? <QuestionIcon /> : <HashIcon />}
    </span>
  );
}
