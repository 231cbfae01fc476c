"""The settings of the messages processes."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.callers import NO_CALLERS, CallerConfig, callers, require_callers
from chassis.config import Address, ProcessConfig, Secret, address, secret, setting, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateConfig(ProcessConfig):
    """Settings of `migrate`."""

    database_url: Secret = setting("HUBBUB_MESSAGES_DATABASE_URL", secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig(MigrateConfig):
    """Settings of `worker`."""

    bus_url: Secret = setting("HUBBUB_BUS_URL", secret)
    bus_partitions: int = setting("HUBBUB_BUS_PARTITIONS", whole(1, 1024), 8)
    """Must be the same in every process that uses the bus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig(WorkerConfig):
    """Settings of `api`."""

    listen: Address = setting("HUBBUB_MESSAGES_LISTEN", address)
    callers: tuple[CallerConfig, ...] = setting("HUBBUB_CALLERS", callers, NO_CALLERS)
    """Services that may call. Without any, every caller may, on loopback only."""

    def __post_init__(self) -> None:
        """Raise unless callers are configured or the address is a loopback one."""
        require_callers(self.callers, self.listen, production=self.production)
