"""The identity that a verified token, ticket or session stands for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from chassis.bots import BotScope
from hubbub.messages.v1.messages_pb2 import Caller

_LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""The last moment that a date can express; some tokens never expire."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as a verified token describes them."""

    tenant: str
    user: str
    name: str
    """Display name from the token; empty if it has none."""
    roles: tuple[str, ...]
    issued_at: float
    expires_at: float
    """Unix seconds, both."""
    authenticated_at: float = 0.0
    """When the user last proved who they are to the issuer (`auth_time`), in Unix seconds; 0 if it does not say."""
    session: str = ""
    """The browser session that the user signed in with, or the id of a bot's token; empty for a token of an issuer."""
    scopes: frozenset[BotScope] | None = None
    """What a bot's token permits; None for a person. `identity.scopes` judges by it."""
    hook: str = ""
    """The channel of the incoming webhook as which the caller posts; empty for any other caller."""

    @property
    def ends_at(self) -> str:
        """`expires_at` as clients see it: RFC 3339, UTC."""
        ends = datetime.fromtimestamp(min(self.expires_at, _LATEST), UTC)
        return ends.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"

    @property
    def admin(self) -> bool:
        """Whether the user administers the tenant."""
        return "admin" in self.roles

    @property
    def caller(self) -> Caller:
        """The identity as the services' RPCs take it."""
        return Caller(tenant=self.tenant, user=self.user, admin=self.admin, token_issued_at=self.issued_at, session=self.session)
