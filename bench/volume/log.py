"""Makes the logs of a volume store as lines of COPY: entries, and the rows that must agree with them.

Channels write in bursts of ten entries, in random order, as busy channels do: so the newest page of a channel is spread over
several pages of the table. Each burst is later than the one before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime

from bench.volume.plan import Channel, plan, stamp, uuid7
from bench.volume.shape import Shape
from bench.volume.words import Words, emoji, upload
from messages.commands.fingerprint import fingerprint
from messages.message import UserId

COLUMNS = {
    "entries": "channel, seq, posts, tenant, kind, actor, at, key, command, message, thread, about, text, details",
    "keys": "channel, fingerprint, seq, message, digest",
    "channels": "id, tenant, kind, name, history, direct_key, head, posts, last_post, active_at",
    "members": 'channel, "user", tenant, role, joined_seq, read_seq, last_posted_at, put_in',
    "changes": "channel, message, seq, tenant, text, edited_at, deleted_seq, pinned, pin_seq",
    "reactions": 'channel, message, emoji, "user", tenant, active, seq',
    "carried": "channel, upload, tenant, seq, message",
    "mentions": 'tenant, "user", message, channel, seq',
    "reports": "id, tenant, channel, message, seq, sender, text, reporter, reason, at, escalated",
}
"""The tables, each with the columns of its lines."""
BURST = 10
_BLOCK = 1 << 20
"""Characters that are handed on together."""
_MOST_PINS = 500
_RECENT, _ROOTS = 40, 8
"""How many messages of a channel the next entries may be about or reply to."""


def _shares(**counts: int) -> list[str]:
    """A list of names, from which one is drawn."""
    return [name for name, count in counts.items() for _ in range(count)]


_ENTRIES = _shares(post=168, react=20, edit=5, pin=1, delete=4, join=2)
_POSTS = _shares(plain=78, reply=12, doomed=1, attaching=4, mentioning=4, reported=1)
_READ = _shares(all=2, some=2, nothing=1)
"""Of a channel's members, since they joined."""

Lines = dict[str, list[str]]


class _Post:
    """A message that later entries may be about."""

    __slots__ = ("change", "id", "sender", "seq", "text")

    def __init__(self, seq: int, id_: str, sender: str, text: str) -> None:
        self.seq, self.id, self.sender, self.text = seq, id_, sender, text
        self.change: list[str] | None = None
        """Its row in `changes`, from `text` on."""


class _Writer:
    """Writes one channel."""

    def __init__(self, channel: Channel, dice: random.Random, words: Words, lines: Lines) -> None:
        self.channel, self.dice, self.words, self.lines = channel, dice, words, lines
        late = len(channel.members) // 5 if channel.kind != "direct" else 0
        members = channel.members
        self.early = members[1 : len(members) - late]
        self.late = members[len(members) - late :]
        self.joined = [members[0]]
        self.member: dict[int, list[int]] = {}
        """joined_seq and the number of the last own post, by user."""
        self.wrote: dict[int, str] = {}
        self.left = channel.posts
        self.seq = self.posts = self.last_post = self.pins = 0
        self.recent: list[_Post] = []
        self.roots: list[_Post] = []
        self.doomed: list[_Post] = []
        self.changed: dict[str, _Post] = {}
        self.reactions: dict[tuple[str, str, str], tuple[bool, int]] = {}
        self.ended = False

    def write(self, seconds: float, *, last: bool) -> None:
        """Write a burst, or all that remains."""
        day = datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%d %H:%M:%S")
        self.seconds, milliseconds = seconds, 0
        while not self.ended and (last or milliseconds < BURST):
            self.at = f"{day}.{min(milliseconds, 999):03d}+00"
            self._next()
            milliseconds += 1
        if last:
            self._finish()

    def _next(self) -> None:
        if self.seq == 0:
            self._entry(12, self.joined[0], details=f'{{"name":"Channel {self.channel.number}"}}')
            self._join(self.joined[0], "member" if self.channel.kind == "direct" else "owner")
            return
        if self.early:
            self._join(self.early.pop())
            return
        drawn = self._draw(_ENTRIES)
        if self.doomed and (drawn == "delete" or not self.left):
            self._delete()
        elif self.late and (drawn == "join" or not self.left):
            self._join(self.late.pop())
        elif not self.left:
            self.ended = True
        elif drawn == "react" and self.recent:
            self._react()
        elif drawn == "edit" and self.recent:
            self._edit()
        elif drawn == "pin" and self.recent and self.pins < _MOST_PINS:
            self._pin()
        else:
            self._post()

    def _draw(self, table: list[str]) -> str:
        return table[int(self.dice.random() * len(table))]

    def _entry(
        self, kind: int, user: int, *, message: str = r"\N", key: str = r"\N", thread: str = r"\N",
        about: int = 0, text: str = r"\N", details: str = r"\N",
    ) -> None:  # fmt: skip
        self.seq += 1
        self.active_at = self.at
        channel = self.channel
        known = about if about and channel.history == "joined" else r"\N"
        if message != r"\N":
            used, digest = (f"-{self.seq}", r"\N") if key == r"\N" else (key, self.dice.getrandbits(63))
            hashed = fingerprint(UserId(f"u{user}"), used)
            self.lines["keys"].append(f"{channel.id}\t{hashed}\t{self.seq}\t{message}\t{digest}\n")
        self.lines["entries"].append(
            f"{channel.id}\t{self.seq}\t{self.posts}\t{channel.tenant}\t{kind}\tu{user}\t{self.at}\t{key}\t"
            f"{channel.number:x}.{self.seq}\t{message}\t{thread}\t{known}\t{text}\t{details}\n"
        )

    def _join(self, user: int, role: str = "member") -> None:
        self._entry(8, user, details=f'{{"user":"u{user}","role":"{role}"}}')
        self.member[user] = [self.seq, 0]
        if user != self.joined[0]:
            self.joined.append(user)

    def _author(self) -> int:
        """A few members write most; in a broadcast only its owner does."""
        if self.channel.kind == "broadcast":
            return self.joined[0]
        return self.joined[int(self.dice.random() ** 3 * len(self.joined))]

    def _post(self) -> None:
        dice = self.dice
        drawn = self._draw(_POSTS)
        user, id_ = self._author(), uuid7(dice, self.seconds)
        text = self.words.text(dice, self.channel.language)
        root = dice.choice(self.roots) if drawn == "reply" and self.roots else None
        doomed = drawn == "doomed"
        attached, mentioned, details = "", None, r"\N"
        if root:
            details = f'{{"thread":"{root.id}"}}'
        elif drawn == "attaching":
            attached = upload(dice)
            details = f'{{"attachments":[{attached}]}}'
        elif drawn == "mentioning":
            mentioned = dice.choice(self.joined)
            details = f'{{"mentions":["u{mentioned}"]}}'
        elif doomed and dice.getrandbits(1):
            attached = upload(dice)
        self.posts += 1
        self.left -= 1
        self._entry(
            1, user, message=id_, key=uuid7(dice, self.seconds),
            thread=root.id if root else r"\N", about=root.seq if root else 0, text=r"\N" if doomed else text, details=details,
        )  # fmt: skip
        self.last_post = self.member[user][1] = self.seq
        self.wrote[user] = self.at
        if attached:
            line = f"{self.channel.id}\t{attached[7:43]}\t{self.channel.tenant}\t{self.seq}\t{id_}\n"
            self.lines["carried"].append(line)
        if mentioned is not None:
            self.lines["mentions"].append(f"{self.channel.tenant}\tu{mentioned}\t{id_}\t{self.channel.id}\t{self.seq}\n")
        post = _Post(self.seq, id_, f"u{user}", text)
        if doomed:
            self.doomed.append(post)
            return
        _keep(self.recent, post, self.seq % _RECENT, _RECENT)
        if not root:
            _keep(self.roots, post, dice.randrange(1, _ROOTS * _ROOTS), _ROOTS)
        if drawn == "reported":
            self._report(post)

    def _react(self) -> None:
        post, user, face = self.dice.choice(self.recent), self._author(), emoji(self.dice)
        place = (post.id, face, f"u{user}")
        active = not self.reactions.get(place, (False, 0))[0]
        self._entry(4 if active else 5, user, message=post.id, about=post.seq, details=f'{{"emoji":"{face}"}}')
        self.reactions[place] = (active, self.seq)

    def _edit(self) -> None:
        post, text = self.dice.choice(self.recent), self.words.text(self.dice, self.channel.language)
        self._entry(2, int(post.sender[1:]), message=post.id, about=post.seq, text=text)
        self._change(post)[:2] = [text, self.at]

    def _pin(self) -> None:
        post = self.dice.choice(self.recent)
        pinned = self._change(post)[3] == "f"
        self.pins += 1 if pinned else -1
        self._entry(6 if pinned else 7, self.joined[0], message=post.id, about=post.seq)
        self._change(post)[3:] = ["t" if pinned else "f", str(self.seq)]

    def _delete(self) -> None:
        post = self.doomed.pop()
        self._entry(3, int(post.sender[1:]), message=post.id, about=post.seq)
        self._change(post)[2] = str(self.seq)

    def _change(self, post: _Post) -> list[str]:
        if post.change is None:
            post.change = [r"\N", r"\N", r"\N", "f", r"\N"]
            self.changed[post.id] = post
        return post.change

    def _report(self, post: _Post) -> None:
        reporter = self.joined[int(self.dice.random() * len(self.joined))]
        channel, dice = self.channel, self.dice
        self.lines["reports"].append(
            f"{uuid7(dice, self.seconds)}\t{channel.tenant}\t{channel.id}\t{post.id}\t{post.seq}\t{post.sender}\t{post.text}\t"
            f"u{reporter}\tspam\t{self.at}\t{'f' if dice.getrandbits(2) else 't'}\n"
        )

    def _finish(self) -> None:
        """The rows that hold the state of the channel after its last entry."""
        channel, id_, tenant, dice, lines = self.channel, self.channel.id, self.channel.tenant, self.dice, self.lines
        name = "" if channel.kind == "direct" else f"Channel {channel.number}"
        key = channel.direct_key or r"\N"
        lines["channels"].append(
            f"{id_}\t{tenant}\t{channel.kind}\t{name}\t{channel.history}\t{key}\t{self.seq}\t{self.posts}\t{self.last_post}\t{self.active_at}\n"
        )
        for user, (joined, posted) in self.member.items():
            owner = user == channel.members[0]
            role = "owner" if owner and channel.kind != "direct" else "member"
            drawn = self._draw(_READ)
            share = 1 if drawn == "all" else dice.random() if drawn == "some" else 0
            read = max(posted, joined + int((self.seq - joined) * share))
            wrote = self.wrote.get(user, r"\N")
            lines["members"].append(f"{id_}\tu{user}\t{tenant}\t{role}\t{joined}\t{read}\t{wrote}\t{'f' if owner else 't'}\n")
        for post in self.changed.values():
            lines["changes"].append(f"{id_}\t{post.id}\t{post.seq}\t{tenant}\t" + "\t".join(post.change or ()) + "\n")
        for (message, face, who), (active, seq) in self.reactions.items():
            lines["reactions"].append(f"{id_}\t{message}\t{face}\t{who}\t{tenant}\t{'t' if active else 'f'}\t{seq}\n")


def blocks(shape: Shape, part: int, parts: int) -> Iterator[tuple[str, bytes]]:
    """The lines of every `parts`th channel, as (table, lines). Parts can be made at the same time and copied in any order."""
    words = Words(shape.seed)
    dice = random.Random(f"log {shape.seed} {part}")
    lines: Lines = {table: [] for table in COLUMNS}
    bursts: list[_Writer] = []
    for channel in plan(shape).channels[part::parts]:
        entries = channel.posts * 1.2 + len(channel.members)
        bursts += [_Writer(channel, dice, words, lines)] * (1 + int(entries / BURST))
    remaining: dict[_Writer, int] = {}
    for each in bursts:
        remaining[each] = remaining.get(each, 0) + 1
    dice.shuffle(bursts)
    for number, writer in enumerate(bursts):
        remaining[writer] -= 1
        writer.write(stamp(number / len(bursts)), last=not remaining[writer])
        if number % 500 == 0:
            yield from _full(lines, _BLOCK // 200)
    yield from _full(lines, 1)


def _keep(posts: list[_Post], post: _Post, place: int, most: int) -> None:
    """Keep a post at this place, if there is one. The first root stays, so that a thread is as old as its channel."""
    if len(posts) < most:
        posts.append(post)
    elif place < most:
        posts[place] = post


def _full(lines: Lines, least: int) -> Iterator[tuple[str, bytes]]:
    for table, found in lines.items():
        if len(found) >= least:
            yield table, "".join(found).encode()
            found.clear()
