"""The settings of the media processes."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.callers import NO_CALLERS, CallerConfig, callers, require_callers
from chassis.config import Address, ConfigError, ProcessConfig, Secret, address, secret, setting, text, whole
from chassis.database_role import require_tls
from chassis.grpc_tls import require_grpc_tls
from media.quota import Quota

_NO_SECRET = Secret("")


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateConfig(ProcessConfig):
    """Settings of `migrate`, which works as the owner of the database."""

    migration_database_url: Secret = setting("HUBBUB_MEDIA_MIGRATION_DATABASE_URL", secret, _NO_SECRET)
    database_url: Secret = setting("HUBBUB_MEDIA_DATABASE_URL", secret, _NO_SECRET)
    """Used outside production where one role does everything."""

    def __post_init__(self) -> None:
        """Require an owner's role in production."""
        if not self.migration_database_url and (self.production or not self.database_url):
            raise ConfigError(["HUBBUB_MEDIA_MIGRATION_DATABASE_URL is required"])
        require_tls({"HUBBUB_MEDIA_MIGRATION_DATABASE_URL": self.migration_database_url}, production=self.production)

    @property
    def owner_url(self) -> Secret:
        """The owner's address."""
        return self.migration_database_url or self.database_url


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig(ProcessConfig):
    """The database of a process that serves."""

    database_url: Secret = setting("HUBBUB_MEDIA_DATABASE_URL", secret)
    sweeper_database_url: Secret = setting("HUBBUB_MEDIA_SWEEPER_DATABASE_URL", secret, _NO_SECRET)
    """The role for work across tenants; outside production the service's role may do it."""

    def __post_init__(self) -> None:
        """Require two roles and TLS in production."""
        if self.production and not self.sweeper_database_url:
            raise ConfigError(["HUBBUB_MEDIA_SWEEPER_DATABASE_URL is required where HUBBUB_ENV=production"])
        urls = {"HUBBUB_MEDIA_DATABASE_URL": self.database_url, "HUBBUB_MEDIA_SWEEPER_DATABASE_URL": self.sweeper_database_url}
        require_tls(urls, production=self.production)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(StoreConfig):
    """Settings of the service."""

    listen: Address = setting("HUBBUB_MEDIA_LISTEN", address)
    callers: tuple[CallerConfig, ...] = setting("HUBBUB_CALLERS", callers, NO_CALLERS)
    """Services that may call. Without any, every process may, and the service listens on loopback only."""
    s3_endpoint: str = setting("HUBBUB_MEDIA_S3_ENDPOINT", text)
    """Object storage as this process reaches it."""
    s3_public_endpoint: str = setting("HUBBUB_MEDIA_S3_PUBLIC_ENDPOINT", text, "")
    """Object storage as browsers reach it; empty: the same."""
    s3_bucket: str = setting("HUBBUB_MEDIA_S3_BUCKET", text)
    s3_region: str = setting("HUBBUB_MEDIA_S3_REGION", text, "us-east-1")
    s3_access_key: Secret = setting("HUBBUB_MEDIA_S3_ACCESS_KEY", secret)
    s3_secret_key: Secret = setting("HUBBUB_MEDIA_S3_SECRET_KEY", secret)
    max_bytes: int = setting("HUBBUB_MEDIA_MAX_BYTES", whole(1, 1024**3), 25 * 1024**2)
    """The largest file."""
    user_bytes: int = setting("HUBBUB_MEDIA_USER_BYTES", whole(1, 1024**5), 10 * 1024**3)
    """Bytes that one user may store."""
    tenant_bytes: int = setting("HUBBUB_MEDIA_TENANT_BYTES", whole(1, 1024**5), 1024**4)
    """Bytes that all users of a tenant may store."""
    user_open: int = setting("HUBBUB_MEDIA_USER_OPEN", whole(1, 1_000_000), 50)
    """Uploads of one user that await their bytes or their verdict."""
    tenant_open: int = setting("HUBBUB_MEDIA_TENANT_OPEN", whole(1, 1_000_000), 2_000)
    """The same for a tenant."""
    user_per_minute: int = setting("HUBBUB_MEDIA_USER_PER_MINUTE", whole(1, 1_000_000), 60)
    """Uploads that one user may announce in a minute."""
    clamd: str = setting("HUBBUB_MEDIA_CLAMD", text, "")
    """Address of a clamd that scans besides our own signatures: path of its socket, or host:port."""

    def __post_init__(self) -> None:
        """Refuse to serve unknown callers."""
        super(Config, self).__post_init__()
        require_callers(self.callers, self.listen, production=self.production)
        require_grpc_tls(self, self.listen)

    @property
    def quota(self) -> Quota:
        """The limits of users and tenants."""
        return Quota(self.user_bytes, self.tenant_bytes, self.user_open, self.tenant_open, self.user_per_minute)
