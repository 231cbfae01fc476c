"""The settings of the messages processes."""

from __future__ import annotations

from dataclasses import dataclass, fields

from joserfc.jwk import OKPKey

from chassis.callers import NO_CALLERS, CallerConfig, callers, require_callers
from chassis.config import Address, ConfigError, ProcessConfig, Secret, address, require_redis_tls, secret, setting, text, whole
from chassis.database_role import require_tls
from chassis.grpc_tls import require_grpc_tls
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
    """Settings of `migrate`, which works as the owner of the database."""

    migration_database_url: Secret = setting("HUBBUB_MESSAGES_MIGRATION_DATABASE_URL", secret, _NO_SECRET)
    database_url: Secret = setting("HUBBUB_MESSAGES_DATABASE_URL", secret, _NO_SECRET)
    """Used outside production where one role does everything."""

    def __post_init__(self) -> None:
        """Require an owner's role in production."""
        if not self.migration_database_url and (self.production or not self.database_url):
            raise ConfigError(["HUBBUB_MESSAGES_MIGRATION_DATABASE_URL is required"])
        require_tls({"HUBBUB_MESSAGES_MIGRATION_DATABASE_URL": self.migration_database_url}, production=self.production)

    @property
    def owner_url(self) -> Secret:
        """The owner's address."""
        return self.migration_database_url or self.database_url


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig(ProcessConfig):
    """The database of a process that serves."""

    database_url: Secret = setting("HUBBUB_MESSAGES_DATABASE_URL", secret)
    sweeper_database_url: Secret = setting("HUBBUB_MESSAGES_SWEEPER_DATABASE_URL", secret, _NO_SECRET)
    """The role for work across tenants; outside production the service's role may do it."""

    def __post_init__(self) -> None:
        """Require two roles and TLS in production."""
        if self.production and not self.sweeper_database_url:
            raise ConfigError(["HUBBUB_MESSAGES_SWEEPER_DATABASE_URL is required where HUBBUB_ENV=production"])
        urls = {
            "HUBBUB_MESSAGES_DATABASE_URL": self.database_url,
            "HUBBUB_MESSAGES_SWEEPER_DATABASE_URL": self.sweeper_database_url,
        }
        require_tls(urls, production=self.production)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditConfig(ProcessConfig):
    """Settings of `audit verify`, which reads every tenant."""

    database_url: Secret = setting("HUBBUB_MESSAGES_DATABASE_URL", secret, _NO_SECRET)
    sweeper_database_url: Secret = setting("HUBBUB_MESSAGES_SWEEPER_DATABASE_URL", secret, _NO_SECRET)

    def __post_init__(self) -> None:
        """Require an address, by TLS in production."""
        if not self.url:
            raise ConfigError(["HUBBUB_MESSAGES_SWEEPER_DATABASE_URL is required"])
        require_tls({"HUBBUB_MESSAGES_SWEEPER_DATABASE_URL": self.url}, production=self.production)

    @property
    def url(self) -> Secret:
        """The address of the role that reads every tenant."""
        return self.sweeper_database_url or self.database_url


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig(StoreConfig):
    """Settings of `search`, and of every process that uses the bus."""

    bus_url: Secret = setting("HUBBUB_BUS_URL", secret)
    bus_partitions: int = setting("HUBBUB_BUS_PARTITIONS", whole(1, 1024), 8)
    """Must be the same in every process that uses the bus."""

    def __post_init__(self) -> None:
        """Require TLS in production."""
        super(SearchConfig, self).__post_init__()
        require_redis_tls("HUBBUB_BUS_URL", self.bus_url, production=self.production)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedConfig(SearchConfig):
    """Settings of `feed`."""

    listen: Address = setting("HUBBUB_MESSAGES_LISTEN", address)
    callers: tuple[CallerConfig, ...] = setting("HUBBUB_CALLERS", callers, NO_CALLERS)
    """As of `api`."""

    def __post_init__(self) -> None:
        """Raise unless callers are configured or the address is a loopback one."""
        super(FeedConfig, self).__post_init__()
        require_callers(self.callers, self.listen, production=self.production)
        require_grpc_tls(self, self.listen, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig(SearchConfig):
    """Settings of `worker`."""

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

    audit_key: Secret = setting("HUBBUB_MESSAGES_AUDIT_KEY", secret, _NO_SECRET)
    """Ed25519 private key (PEM) that signs the heads of the audit log."""
    audit_sign_seconds: int = setting("HUBBUB_MESSAGES_AUDIT_SIGN_SECONDS", whole(1, 86_400), 300)

    @property
    def audit_signing_key(self) -> OKPKey | None:
        """The parsed key; None without one. Raises `ValueError`."""
        return private_key(self.audit_key) if self.audit_key else None

    def __post_init__(self) -> None:
        """Raise unless callers are configured or the address is a loopback one, and for invalid keys."""
        super(ApiConfig, self).__post_init__()
        require_callers(self.callers, self.listen, production=self.production)
        require_grpc_tls(self, self.listen, {"HUBBUB_MEDIA_TARGET": self.media_target})
        for name, parse in (
            ("HUBBUB_MESSAGES_AUDIT_KEY", lambda: self.audit_signing_key),
            ("HUBBUB_MESSAGES_KEY", lambda: self.identity),
        ):
            try:
                parse()
            except ValueError as error:
                raise ConfigError([f"{name} {error}"]) from error

    @property
    def identity(self) -> Identity | None:
        """The identity with which this service calls media; None where media does not ask for one."""
        return Identity(MESSAGES, private_key(self.key)) if self.key else None
