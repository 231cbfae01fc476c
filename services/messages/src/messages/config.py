"""The settings of the messages processes."""

from __future__ import annotations

from dataclasses import dataclass

from joserfc.jwk import OKPKey

from chassis.callers import NO_CALLERS, CallerConfig, callers, require_callers
from chassis.config import Address, ConfigError, ProcessConfig, Secret, address, require_redis_tls, secret, setting, whole
from chassis.database_role import require_tls
from chassis.identity import private_key

_NO_SECRET = Secret("")


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
class WorkerConfig(StoreConfig):
    """Settings of `worker`."""

    bus_url: Secret = setting("HUBBUB_BUS_URL", secret)
    bus_partitions: int = setting("HUBBUB_BUS_PARTITIONS", whole(1, 1024), 8)
    """Must be the same in every process that uses the bus."""

    def __post_init__(self) -> None:
        """Require TLS in production."""
        super(WorkerConfig, self).__post_init__()
        require_redis_tls("HUBBUB_BUS_URL", self.bus_url, production=self.production)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig(WorkerConfig):
    """Settings of `api`."""

    listen: Address = setting("HUBBUB_MESSAGES_LISTEN", address)
    callers: tuple[CallerConfig, ...] = setting("HUBBUB_CALLERS", callers, NO_CALLERS)
    """Services that may call. Without any, every caller may, on loopback only."""

    audit_key: Secret = setting("HUBBUB_MESSAGES_AUDIT_KEY", secret, _NO_SECRET)
    """Ed25519 private key (PEM) that signs the heads of the audit log."""
    audit_sign_seconds: int = setting("HUBBUB_MESSAGES_AUDIT_SIGN_SECONDS", whole(1, 86_400), 300)

    @property
    def audit_signing_key(self) -> OKPKey | None:
        """The parsed key; None without one. Raises `ValueError`."""
        return private_key(self.audit_key) if self.audit_key else None

    def __post_init__(self) -> None:
        """Raise unless callers are configured or the address is a loopback one."""
        super(ApiConfig, self).__post_init__()
        require_callers(self.callers, self.listen, production=self.production)
        try:
            self.audit_signing_key  # noqa: B018 - parsed to be refused here
        except ValueError as error:
            raise ConfigError([f"HUBBUB_MESSAGES_AUDIT_KEY {error}"]) from error
