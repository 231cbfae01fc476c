"""Settings of a presence process."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.callers import NO_CALLERS, CallerConfig, callers, require_callers
from chassis.config import Address, ProcessConfig, Secret, address, require_redis_tls, secret, setting
from chassis.grpc_tls import require_grpc_tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ProcessConfig):
    """Settings of a presence process."""

    redis_url: Secret = setting("HUBBUB_PRESENCE_REDIS_URL", secret)
    """A Redis or Valkey database used by presence only."""
    listen: Address = setting("HUBBUB_PRESENCE_LISTEN", address)
    """Address of the gRPC server."""
    callers: tuple[CallerConfig, ...] = setting("HUBBUB_CALLERS", callers, NO_CALLERS)
    """Services that may call. Empty, which is allowed on loopback only, means any."""

    def __post_init__(self) -> None:
        """Require callers and TLS, except on loopback."""
        require_redis_tls("HUBBUB_PRESENCE_REDIS_URL", self.redis_url, production=self.production)
        require_callers(self.callers, self.listen, production=self.production)
        require_grpc_tls(self, self.listen)
