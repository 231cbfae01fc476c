"""The settings of the integrations processes."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.callers import NO_CALLERS, CallerConfig, callers, require_callers
from chassis.config import Address, ConfigError, ProcessConfig, Secret, address, flag, secret, setting, text, whole
from chassis.database_role import require_tls
from chassis.grpc_tls import require_grpc_tls
from chassis.identity import INTEGRATIONS, Identity, private_key
from integrations.signing import Vault
from integrations.store import Backlog

_NO_SECRET = Secret("")


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateConfig(ProcessConfig):
    """Settings of `migrate`, which works as the owner of the database."""

    migration_database_url: Secret = setting("HUBBUB_INTEGRATIONS_MIGRATION_DATABASE_URL", secret, _NO_SECRET)
    database_url: Secret = setting("HUBBUB_INTEGRATIONS_DATABASE_URL", secret, _NO_SECRET)
    """Used outside production where one role does everything."""

    def __post_init__(self) -> None:
        """Require an owner's role in production."""
        if not self.migration_database_url and (self.production or not self.database_url):
            raise ConfigError(["HUBBUB_INTEGRATIONS_MIGRATION_DATABASE_URL is required"])
        require_tls({"HUBBUB_INTEGRATIONS_MIGRATION_DATABASE_URL": self.migration_database_url}, production=self.production)

    @property
    def owner_url(self) -> Secret:
        """The owner's address."""
        return self.migration_database_url or self.database_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ProcessConfig):
    """Settings of the service."""

    database_url: Secret = setting("HUBBUB_INTEGRATIONS_DATABASE_URL", secret)
    sweeper_database_url: Secret = setting("HUBBUB_INTEGRATIONS_SWEEPER_DATABASE_URL", secret, _NO_SECRET)
    """The role for work across tenants; outside production the service's role may do it."""
    listen: Address = setting("HUBBUB_INTEGRATIONS_LISTEN", address)
    messages_target: str = setting("HUBBUB_MESSAGES_TARGET", text)
    """Address of the messages api, which answers who may run a command, and takes the answers."""
    feed_target: str = setting("HUBBUB_FEED_TARGET", text)
    """Address of the feed of the messages service."""
    key: Secret = setting("HUBBUB_INTEGRATIONS_KEY", secret, _NO_SECRET)
    """Ed25519 private key (PEM) that identifies this service to the messages service."""
    callers: tuple[CallerConfig, ...] = setting("HUBBUB_CALLERS", callers, NO_CALLERS)
    """Services that may call. Without any, every process may, and the service listens on loopback only."""
    keys: Secret = setting("HUBBUB_INTEGRATIONS_KEYS", secret)
    """Keys that encrypt the secrets of webhooks, separated by commas: the first encrypts, all decrypt."""
    private_endpoints: bool = setting("HUBBUB_INTEGRATIONS_PRIVATE_ENDPOINTS", flag, default=False)
    """Allow http and private addresses, for development only."""
    nameservers: str = setting("HUBBUB_INTEGRATIONS_NAMESERVERS", text, "")
    """Name servers (host:port, separated by commas) for the names of endpoints; empty: the system's."""
    webhooks_per_tenant: int = setting("HUBBUB_INTEGRATIONS_WEBHOOKS_PER_TENANT", whole(1, 10_000), 50)
    backlog: int = setting("HUBBUB_INTEGRATIONS_BACKLOG", whole(1, 1_000_000), 10_000)
    """Deliveries that may wait or be dead letters of one webhook."""
    backlog_bytes: int = setting("HUBBUB_INTEGRATIONS_BACKLOG_BYTES", whole(1, 1 << 34), 64 * 1024**2)
    """The same in bytes of their bodies."""

    def __post_init__(self) -> None:
        """Refuse to serve unknown callers, to run without keys, and what only development may do."""
        if self.production and not self.sweeper_database_url:
            raise ConfigError(["HUBBUB_INTEGRATIONS_SWEEPER_DATABASE_URL is required where HUBBUB_ENV=production"])
        if self.production and self.private_endpoints:
            raise ConfigError(["HUBBUB_INTEGRATIONS_PRIVATE_ENDPOINTS must be 0 where HUBBUB_ENV=production"])
        urls = {
            "HUBBUB_INTEGRATIONS_DATABASE_URL": self.database_url,
            "HUBBUB_INTEGRATIONS_SWEEPER_DATABASE_URL": self.sweeper_database_url,
        }
        require_tls(urls, production=self.production)
        require_callers(self.callers, self.listen, production=self.production)
        require_grpc_tls(
            self, self.listen, {"HUBBUB_FEED_TARGET": self.feed_target, "HUBBUB_MESSAGES_TARGET": self.messages_target}
        )
        try:
            Vault(self.key_list)
        except ValueError as error:
            raise ConfigError(["HUBBUB_INTEGRATIONS_KEYS must be keys of 32 bytes in URL-safe base64"]) from error
        try:
            self.identity  # noqa: B018 - raises for an invalid key
        except ValueError as error:
            raise ConfigError([f"HUBBUB_INTEGRATIONS_KEY {error}"]) from error

    @property
    def identity(self) -> Identity | None:
        """The identity with which this service calls the messages service; None where it does not ask for one."""
        return Identity(INTEGRATIONS, private_key(self.key)) if self.key else None

    @property
    def key_list(self) -> list[str]:
        """The keys."""
        return [key.strip() for key in self.keys.split(",")]

    @property
    def nameserver_list(self) -> list[str]:
        """The name servers."""
        return [each.strip() for each in self.nameservers.split(",") if each.strip()]

    @property
    def backlog_limits(self) -> Backlog:
        """What one webhook may keep."""
        return Backlog(self.backlog, self.backlog_bytes)
