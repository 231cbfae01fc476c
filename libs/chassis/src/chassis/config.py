"""Reads a process's settings from the environment, once, into a frozen dataclass. Each service declares its own settings.

@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ProcessConfig):
    listen: Address = setting("HUBBUB_MESSAGES_LISTEN", address)
    database_url: Secret = setting("HUBBUB_MESSAGES_DATABASE_URL", secret)

config = load(Config, os.environ)      # raises ConfigError with every problem
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
ConfigT = TypeVar("ConfigT")
_SETTING = "setting"


class ConfigError(Exception):
    """Lists every missing or invalid setting."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class Secret(str):
    """A string whose repr hides its value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(***)"


class Address(NamedTuple):
    """A host and port to listen on or connect to."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Setting:
    """The variable of a field, and its parser."""

    name: str
    parse: Callable[[str], Any]


class _Missing:
    """Marks a setting without a default."""


_REQUIRED = _Missing()


def setting(name: str, parse: Callable[[str], T], default: T | _Missing = _REQUIRED) -> Any:
    """Declare a field parsed from the variable `name`. Without `default` it is required. An empty variable counts as unset."""
    metadata = {_SETTING: Setting(name, parse)}
    if isinstance(default, _Missing):
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


def load(config: type[ConfigT], environ: Mapping[str, str]) -> ConfigT:
    """Read every setting of `config`. Raises `ConfigError` with all problems."""
    problems: list[str] = []
    values: dict[str, Any] = {}
    for each in dataclasses.fields(config):  # type: ignore[arg-type]
        how: Setting = each.metadata[_SETTING]
        given = environ.get(how.name, "")
        if given:
            try:
                values[each.name] = how.parse(given)
            except ValueError as error:
                problems.append(f"{how.name} {error}")
        elif each.default is dataclasses.MISSING:
            problems.append(f"{how.name} is required")
    if problems:
        raise ConfigError(problems)
    return config(**values)


def names(config: type[Any]) -> frozenset[str]:
    """Return the variables that `config` reads."""
    return frozenset(each.metadata[_SETTING].name for each in dataclasses.fields(config))


def secrets(config: type[Any]) -> frozenset[str]:
    """Return the variables that hold a secret of `config`."""
    settings = [each.metadata[_SETTING] for each in dataclasses.fields(config)]
    return frozenset(each.name for each in settings if each.parse is secret)


def text(value: str) -> str:
    """Parse any text."""
    return value


def secret(value: str) -> Secret:
    """Parse a secret."""
    return Secret(value)


def flag(value: str) -> bool:
    """Parse 1/true/yes or 0/false/no."""
    match value.lower():
        case "1" | "true" | "yes":
            return True
        case "0" | "false" | "no":
            return False
        case _:
            msg = "must be 1 or 0"
            raise ValueError(msg)


def address(value: str) -> Address:
    """Parse host:port."""
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:  # noqa: PLR2004
        msg = "must be host:port"
        raise ValueError(msg)
    return Address(host, int(port))


def is_loopback(host: str) -> bool:
    """Whether a host is `localhost` or a loopback address."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def require_redis_tls(name: str, url: str, *, production: bool) -> None:
    """Raise `ConfigError` in production for the address of a Redis server that is reached neither by TLS nor by loopback."""
    parts = urlsplit(url)
    if production and parts.scheme == "redis" and not is_loopback(parts.hostname or ""):
        raise ConfigError([f"{name} must begin with rediss:// (TLS) where HUBBUB_ENV=production"])


def whole(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return a parser of integers within inclusive bounds."""

    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            number = minimum - 1
        if not minimum <= number <= maximum:
            msg = f"must be a whole number from {minimum} to {maximum}"
            raise ValueError(msg)
        return number

    return parse


def choice(*options: str) -> Callable[[str], str]:
    """Return a parser that accepts only `options`."""

    def parse(value: str) -> str:
        if value not in options:
            msg = f"must be one of {', '.join(options)}"
            raise ValueError(msg)
        return value

    return parse


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessConfig:
    """The settings of every process."""

    env: str = setting("HUBBUB_ENV", choice("local", "production"), "local")
    log_level: str = setting("HUBBUB_LOG_LEVEL", choice("debug", "info", "warning", "error"), "info")
    instance: str = setting("HUBBUB_INSTANCE", text, "hubbub")
    """Name of this process, for logs."""
    ops_listen: Address | None = setting("HUBBUB_OPS_LISTEN", address, None)
    """Address of /healthz, /readyz and /metrics; not served when unset."""
    drain_seconds: int = setting("HUBBUB_DRAIN_SECONDS", whole(1, 600), 10)
    """How long shutdown may take before the remaining work is cancelled."""
    grpc_tls_cert: Path | None = setting("HUBBUB_GRPC_TLS_CERT", Path, None)
    """Certificate chain (PEM) of this process. `chassis.grpc_tls` reads the files, and reads them again when they change."""
    grpc_tls_key: Path | None = setting("HUBBUB_GRPC_TLS_KEY", Path, None)
    """Its private key (PEM)."""
    grpc_tls_ca: Path | None = setting("HUBBUB_GRPC_TLS_CA", Path, None)
    """Certificates (PEM) of the authorities that sign the other processes' certificates."""
    grpc_plaintext: bool = setting("HUBBUB_GRPC_PLAINTEXT", flag, default=False)
    """Another layer, such as a mesh, encrypts gRPC between machines."""

    @property
    def production(self) -> bool:
        """Whether this is a production process."""
        return self.env == "production"
