"""The gateway's settings. Which issuers it trusts is read here, what their keys are is `issuers`' matter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from chassis.config import Address, ConfigError, ProcessConfig, Secret, address, flag, secret, setting, text, whole


class IssuerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who may issue tokens, and for which tenants."""

    issuer: str
    audience: str
    tenants: tuple[str, ...]
    jwks_url: str | None = None
    jwks_file: str | None = None


def issuers(value: str) -> tuple[IssuerConfig, ...]:
    """A JSON list of `{issuer, audience, tenants, jwks_url | jwks_file}`."""
    try:
        found = msgspec.json.decode(value, type=tuple[IssuerConfig, ...])
    except msgspec.DecodeError as error:
        msg = f"must be a JSON list of issuers: {error}"
        raise ValueError(msg) from error
    if any((each.jwks_url is None) == (each.jwks_file is None) for each in found):
        msg = "must give each issuer either jwks_url or jwks_file"
        raise ValueError(msg)
    return found


def origins(value: str) -> frozenset[str]:
    """A comma list of origins such as https://shop.example."""
    return frozenset(each.strip().rstrip("/").lower() for each in value.split(",") if each.strip())


_NO_ISSUERS: tuple[IssuerConfig, ...] = ()
_NO_ORIGINS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ProcessConfig):
    """What a gateway reads from its environment."""

    listen: Address = setting("HUBBUB_LISTEN", address)
    bus_url: Secret = setting("HUBBUB_BUS_URL", secret)
    bus_partitions: int = setting("HUBBUB_BUS_PARTITIONS", whole(1, 1_024), 8)
    messages_target: str = setting("HUBBUB_MESSAGES_TARGET", text)
    presence_target: str = setting("HUBBUB_PRESENCE_TARGET", text)
    media_target: str = setting("HUBBUB_MEDIA_TARGET", text)
    dev_login: bool = setting("HUBBUB_DEV_LOGIN", flag, default=False)
    dev_key_file: str = setting("HUBBUB_DEV_KEY_FILE", text, "")
    """Ed25519 private key (PEM) of the development issuer; made where it is missing."""
    issuers: tuple[IssuerConfig, ...] = setting("HUBBUB_ISSUERS", issuers, _NO_ISSUERS)
    allowed_origins: frozenset[str] = setting("HUBBUB_ALLOWED_ORIGINS", origins, _NO_ORIGINS)
    """Besides the server's own, which is always allowed."""
    web_root: Path | None = setting("HUBBUB_WEB_ROOT", Path, None)
    """The built web app; a gateway without one serves the API alone."""
    storage_endpoint: str = setting("HUBBUB_MEDIA_S3_PUBLIC_ENDPOINT", text, "")
    """Where browsers upload to and load media from; the content security policy allows it."""
    heartbeat_seconds: int = setting("HUBBUB_HEARTBEAT_SECONDS", whole(1, 600), 25)
    sends_per_second: int = setting("HUBBUB_SENDS_PER_SECOND", whole(1, 100_000), 50)
    burst: int = setting("HUBBUB_SEND_BURST", whole(1, 100_000), 200)
    connections_per_user: int = setting("HUBBUB_CONNECTIONS_PER_USER", whole(1, 100_000), 20)
    audit_seconds: int = setting("HUBBUB_AUDIT_SECONDS", whole(1, 86_400), 60)
    """About how long one round of the head audit takes."""

    def __post_init__(self) -> None:
        """Refuse what must not run together."""
        problems = []
        if self.dev_login and self.production:
            problems.append("HUBBUB_DEV_LOGIN must not be set where HUBBUB_ENV=production")
        if self.dev_login and not self.dev_key_file:
            problems.append("HUBBUB_DEV_KEY_FILE is required where HUBBUB_DEV_LOGIN=1")
        if problems:
            raise ConfigError(problems)
