"""Keeps which users have blocked each other, of local users, so that typing and presence do not pass between them.

Best effort, as typing and presence are: a block counts here from its entry on the bus on, or from the next session. What a block
refuses is judged by the messages service.
"""

from __future__ import annotations

from gateway.model import Account
from gateway.state.presence import Presences
from gateway.wire.registry import Registry
from hubbub.events.v1.events_pb2 import PeerBlock
from hubbub.messages.v1.messages_service_pb2 import Session


class Blocks:
    """The blocks of local users."""

    def __init__(self, registry: Registry, presences: Presences) -> None:
        self._accounts = registry.accounts
        self._presences = presences

    def load(self, account: Account, session: Session) -> None:
        """Take a user's blocks from a session."""
        account.blocks = set(session.blocks)
        changed = account.blocked_by ^ set(session.blocked_by)
        everyone = account.blocked_by_many != session.blocked_by_many
        account.blocked_by, account.blocked_by_many = set(session.blocked_by), session.blocked_by_many
        for connection in account.connections:
            for user in connection.watched if everyone else changed & connection.watched:
                self._presences.place(connection, user)

    def apply(self, block: PeerBlock) -> None:
        """A user blocked another one, or lifted the block."""
        blocking = self._accounts.get((block.tenant, block.user))
        if blocking is not None:
            (blocking.blocks.add if block.blocked else blocking.blocks.discard)(block.blocked_user)
        account = self._accounts.get((block.tenant, block.blocked_user))
        if account is not None:
            (account.blocked_by.add if block.blocked else account.blocked_by.discard)(block.user)
            for connection in account.connections:
                if block.user in connection.watched:
                    self._presences.place(connection, block.user)
