"""The bounds on what a user, a channel and a message can hold. `config` reads them from the environment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds. What exceeds one is refused with `Conflict`, an hourly one with `RateLimited`."""

    channels_per_user: int = 2_000
    unasked_channels_per_user: int = 500
    """Channels into which other users put the user, who has not posted there. Further ones become invitations."""
    invitations_per_user: int = 100
    """Invitations that a user has not answered."""
    members_added_per_hour: int = 5_000
    """Members whom one user adds, by creating channels too."""
    blocks_per_user: int = 1_000
    reactions_per_message: int = 50
    """Distinct emoji on one message."""
    reactions_per_user: int = 20
    """Distinct emoji of one user on one message."""
    pins_per_channel: int = 500
    reports_per_user: int = 100
    """Open reports by one user."""
    consent_tenants: frozenset[str] = frozenset()
    """Tenants in which users who share no channel can only invite each other; `*` stands for all."""

    def asks_consent(self, tenant: str) -> bool:
        """Whether users of the tenant who share no channel can only invite each other."""
        return tenant in self.consent_tenants or "*" in self.consent_tenants


DEFAULT_LIMITS = Limits()
