"""The settings of the messages processes."""

from __future__ import annotations

from dataclasses import dataclass, fields

from chassis.callers import NO_CALLERS, CallerConfig, callers, require_callers
from chassis.config import Address, ConfigError, ProcessConfig, Secret, address, secret, setting, text, whole
from chassis.identity import MESSAGES, Identity, private_key
from chassis.ids import is_tenant
from messages.limits import DEFAULT_LIMITS, Limits

_NO_SECRET = Secret("")


def tenants(value: str) -> frozenset[str]:
    """A comma list of tenants; `*` stands for all."""
    found = frozenset(each.strip() for each in value.split(",") if each.strip())
    if not all(each == "*" or is_tenant(each) for each in found):
        msg = "must be a comma list of tenants, or *"
        raise ValueError(msg)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateConfig(ProcessConfig):
    """Settings of `migrate`."""

    database_url: Secret = setting("HUBBUB_MESSAGES_DATABASE_URL", secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig(MigrateConfig):
    """Settings of `worker`."""

    bus_url: Secret = setting("HUBBUB_BUS_URL", secret)
    channels_per_user: int = setting("HUBBUB_CHANNELS_PER_USER", whole(1, 5_000), DEFAULT_LIMITS.channels_per_user)
    unasked_channels_per_user: int = setting(
        "HUBBUB_UNASKED_CHANNELS_PER_USER", whole(0, 5_000), DEFAULT_LIMITS.unasked_channels_per_user
    )
    invitations_per_user: int = setting("HUBBUB_INVITATIONS_PER_USER", whole(1, 10_000), DEFAULT_LIMITS.invitations_per_user)
    members_added_per_hour: int = setting(
        "HUBBUB_MEMBERS_ADDED_PER_HOUR", whole(1, 1_000_000), DEFAULT_LIMITS.members_added_per_hour
    )
    blocks_per_user: int = setting("HUBBUB_BLOCKS_PER_USER", whole(1, 10_000), DEFAULT_LIMITS.blocks_per_user)
    reactions_per_message: int = setting("HUBBUB_REACTIONS_PER_MESSAGE", whole(1, 500), DEFAULT_LIMITS.reactions_per_message)
    reactions_per_user: int = setting("HUBBUB_REACTIONS_PER_USER", whole(1, 500), DEFAULT_LIMITS.reactions_per_user)
    pins_per_channel: int = setting("HUBBUB_PINS_PER_CHANNEL", whole(1, 10_000), DEFAULT_LIMITS.pins_per_channel)
    reports_per_user: int = setting("HUBBUB_REPORTS_PER_USER", whole(1, 10_000), DEFAULT_LIMITS.reports_per_user)
    consent_tenants: frozenset[str] = setting("HUBBUB_CONSENT_TENANTS", tenants, DEFAULT_LIMITS.consent_tenants)
    bus_partitions: int = setting("HUBBUB_BUS_PARTITIONS", whole(1, 1024), 8)
    """Must be the same in every process that uses the bus."""

    @property
    def limits(self) -> Limits:
        """The bounds on what users, channels and messages can hold."""
        return Limits(**{each.name: getattr(self, each.name) for each in fields(Limits)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig(WorkerConfig):
    """Settings of `api`."""

    listen: Address = setting("HUBBUB_MESSAGES_LISTEN", address)
    callers: tuple[CallerConfig, ...] = setting("HUBBUB_CALLERS", callers, NO_CALLERS)
    """Services that may call. Without any, every caller may, on loopback only."""
    media_target: str = setting("HUBBUB_MEDIA_TARGET", text, "")
    """Address of media. Without it, posts with attachments are refused."""
    key: Secret = setting("HUBBUB_MESSAGES_KEY", secret, _NO_SECRET)
    """Ed25519 private key (PEM) that identifies this service to media."""

    def __post_init__(self) -> None:
        """Raise unless callers are configured or the address is a loopback one, and for an invalid key."""
        require_callers(self.callers, self.listen, production=self.production)
        try:
            _ = self.identity
        except ValueError as error:
            raise ConfigError([f"HUBBUB_MESSAGES_KEY {error}"]) from None

    @property
    def identity(self) -> Identity | None:
        """The identity with which this service calls media; None where media does not ask for one."""
        return Identity(MESSAGES, private_key(self.key)) if self.key else None
