"""Settings of the media processes."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.callers import NO_CALLERS, CallerConfig, callers, require_callers
from chassis.config import Address, ProcessConfig, Secret, address, secret, setting, text, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateConfig(ProcessConfig):
    """Settings of `migrate`."""

    database_url: Secret = setting("HUBBUB_MEDIA_DATABASE_URL", secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(MigrateConfig):
    """Settings of the service."""

    listen: Address = setting("HUBBUB_MEDIA_LISTEN", address)
    callers: tuple[CallerConfig, ...] = setting("HUBBUB_CALLERS", callers, NO_CALLERS)
    """Services that may call. Empty, which is allowed on loopback only, means any."""
    s3_endpoint: str = setting("HUBBUB_MEDIA_S3_ENDPOINT", text)
    """Object storage, as reached by this process."""
    s3_public_endpoint: str = setting("HUBBUB_MEDIA_S3_PUBLIC_ENDPOINT", text, "")
    """Object storage, as reached by browsers; defaults to `s3_endpoint`."""
    s3_bucket: str = setting("HUBBUB_MEDIA_S3_BUCKET", text)
    s3_region: str = setting("HUBBUB_MEDIA_S3_REGION", text, "us-east-1")
    s3_access_key: Secret = setting("HUBBUB_MEDIA_S3_ACCESS_KEY", secret)
    s3_secret_key: Secret = setting("HUBBUB_MEDIA_S3_SECRET_KEY", secret)
    max_bytes: int = setting("HUBBUB_MEDIA_MAX_BYTES", whole(1, 1024**3), 25 * 1024**2)
    """Maximum size of a file."""
    clamd: str = setting("HUBBUB_MEDIA_CLAMD", text, "")
    """A clamd to use besides the built-in signatures: socket path or host:port."""

    def __post_init__(self) -> None:
        """Require callers, except on loopback outside production."""
        require_callers(self.callers, self.listen, production=self.production)
