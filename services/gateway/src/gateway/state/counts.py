"""Tells clients what large channels count instead of naming: the readers of the newest message, and the members.

Counts are gathered, and only the latest of each channel is sent. A count that the bus loses is replaced by the next one.
"""

from __future__ import annotations

import asyncio

from gateway.hub.hub import Hub
from gateway.model import Channel
from gateway.protocol.outgoing import Members, Receipt, Seen, encode
from gateway.wire.registry import Registry
from hubbub.events.v1.events_pb2 import Reads

SEEN_SECONDS = 1.0
"""Between two `seen` frames of a channel."""
MEMBERS_SECONDS = 5.0
"""Between two `members` frames of a channel, which go to each of its sockets."""


class Counts:
    """Counts that wait to be sent."""

    def __init__(self, hub: Hub, registry: Registry) -> None:
        self._hub = hub
        self._writer = registry.writer
        self._accounts = registry.accounts
        self._seen: dict[str, Reads] = {}
        """The latest count of readers, by channel. Only where the author of the message is connected here."""
        self._members: set[str] = set()
        """Channels whose number of members has changed."""
        hub.on_roster = self._resized

    def read(self, reads: Reads) -> None:
        """Members of a large channel have read: tell their own other sockets at once, and the author in a moment."""
        channel = self._hub.channels.get(reads.channel)
        if channel is None:
            return
        tenant, accounts = reads.tenant, self._accounts
        for user, read_seq, reader in zip(reads.users, reads.read_seqs, reads.connections, strict=True):
            account = accounts.get((tenant, user))
            if account is None:
                continue
            others = [each for each in account.connections if each.id != reader and channel.is_open(each)]
            if others:
                self._writer.broadcast(others, encode(Receipt(channel.id, user, read_seq)))
        if (tenant, reads.author) in accounts:
            self._seen[channel.id] = reads

    async def run(self) -> None:
        """Send what has gathered, forever."""
        loop = asyncio.get_running_loop()
        members_due = loop.time() + MEMBERS_SECONDS
        while True:
            await asyncio.sleep(SEEN_SECONDS)
            self.send_seen()
            if loop.time() >= members_due:
                members_due = loop.time() + MEMBERS_SECONDS
                await self.send_members()

    def send_seen(self) -> None:
        """Tell authors how many have read their messages."""
        seen, self._seen = self._seen, {}
        for reads in seen.values():
            channel = self._hub.channels.get(reads.channel)
            account = self._accounts.get((reads.tenant, reads.author))
            if channel is not None and account is not None:
                sockets = [each for each in account.connections if channel.is_open(each)]
                self._writer.broadcast(sockets, encode(Seen(channel.id, reads.seq, reads.seen)))

    async def send_members(self) -> None:
        """Tell members how many there are."""
        members, self._members = self._members, set()
        for channel_id in members:
            channel = self._hub.channels.get(channel_id)
            if channel is not None:
                self._writer.broadcast(list(channel.open_connections()), encode(Members(channel.id, channel.members)))
                await self._writer.paced()

    def _resized(self, channel: Channel) -> None:
        self._members.add(channel.id)
