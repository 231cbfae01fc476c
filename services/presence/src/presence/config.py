"""The settings of a presence process."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.callers import NO_CALLERS, CallerConfig, callers, require_callers
from chassis.config import Address, ProcessConfig, Secret, address, secret, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ProcessConfig):
    """What presence reads."""

    redis_url: Secret = setting("HUBBUB_PRESENCE_REDIS_URL", secret)
    """Its own Redis or Valkey, or a database of its own in one."""
    listen: Address = setting("HUBBUB_PRESENCE_LISTEN", address)
    """Where the RPCs answer."""
    callers: tuple[CallerConfig, ...] = setting("HUBBUB_CALLERS", callers, NO_CALLERS)
    """Who may call; without any everybody may, on loopback alone."""

    def __post_init__(self) -> None:
        """Refuse to be called by anybody."""
        require_callers(self.callers, self.listen, production=self.production)
