"""The gateway's settings, from environment variables. `identity.issuers` fetches the keys of the issuers named here."""

from __future__ import annotations

import base64
import re
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from chassis.callers import EVERY_TENANT, CallerConfig
from chassis.config import (
    Address,
    ConfigError,
    ProcessConfig,
    Secret,
    address,
    flag,
    require_redis_tls,
    secret,
    setting,
    text,
    whole,
)
from chassis.grpc_tls import require_grpc_tls
from chassis.identity import GATEWAY, Identity, private_key, public_jwk
from chassis.ids import Tenant
from chassis.scopes import Scope

KEY_CHARACTERS = 32
"""Minimum length of a session key; `openssl rand -hex 32` makes one of 64."""
KEY_BYTES = 32
"""Minimum number of random bytes that a session key encodes in production."""
DISTINCT_BYTES = 16
"""Minimum number of different bytes among them; 32 random ones have 30 on average."""
TOKEN_SECONDS = 86_400
MONTH_SECONDS = 30 * 86_400
ANY_HOST = "*"
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\]")
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[1-9][0-9]{0,4}))?/?"
)
_STANDARD = str.maketrans("-_", "+/")
"""From the alphabet of base64 that is safe in URLs to the standard one."""
_HEX = re.compile(r"[0-9a-fA-F]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535


class IssuerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An issuer of tokens, and the tenants that it may name."""

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


def file_limit() -> int:
    """How many files, connections included, this process may open."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def most_connections() -> int:
    """The largest sensible limit of connections: an eighth of the files stays free for the ops port, the bus and the services."""
    return file_limit() * 7 // 8


def networks(value: str) -> tuple[str, ...]:
    """A comma list of networks such as 10.0.0.0/8, or `none`."""
    if value.strip() == "none":
        return ()
    return tuple(str(ip_network(each.strip())) for each in value.split(",") if each.strip())


def origin_of(value: str) -> str:
    """An origin as browsers spell it in the `Origin` header. Raises `ValueError` for anything else."""
    spelled = value.strip().lower()
    found = _ORIGIN.fullmatch(spelled)
    if found is None or int(found["port"] or 0) > _LAST_PORT or ".." in found["host"]:
        msg = f"holds {value.strip()!r}: an origin is like https://shop.example, without a path and without wildcards"
        raise ValueError(msg)
    scheme, host, port = found.group("scheme", "host", "port")
    return f"{scheme}://{host}" if port is None or int(port) == _DEFAULT_PORTS[scheme] else f"{scheme}://{host}:{port}"


def origins(value: str) -> frozenset[str]:
    """A comma list of origins such as https://shop.example."""
    return frozenset(origin_of(each) for each in value.split(",") if each.strip())


def hosts(value: str) -> frozenset[str]:
    """A comma list of host names without ports, or `*`."""
    names = [each.strip().lower() for each in value.split(",") if each.strip()]
    if wrong := [name for name in names if name != ANY_HOST and _HOST.fullmatch(name) is None]:
        msg = f"holds {wrong[0]!r}: a host is like chat.example.com, without a port"
        raise ValueError(msg)
    return frozenset(names)


def tenants(value: str) -> tuple[tuple[str, str], ...]:
    """A JSON object of tenants by the value of a claim, as pairs."""
    try:
        return tuple(msgspec.json.decode(value, type=dict[str, Tenant]).items())
    except msgspec.DecodeError as error:
        msg = f"must be a JSON object of tenants: {error}"
        raise ValueError(msg) from error


def framers(value: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """A JSON object of lists of origins by tenant, as pairs."""
    try:
        found = msgspec.json.decode(value, type=dict[Tenant, tuple[str, ...]])
    except msgspec.DecodeError as error:
        msg = f"must be a JSON object of lists of origins by tenant: {error}"
        raise ValueError(msg) from error
    if not all(found.values()):
        msg = "must give each tenant at least one origin"
        raise ValueError(msg)
    return tuple((tenant, tuple(origin_of(each) for each in pages)) for tenant, pages in found.items())


def base(value: str) -> str:
    """An address without a path, such as https://chat.example."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        msg = "must be like https://chat.example"
        raise ValueError(msg)
    origin_of(f"{parts.scheme}://{parts.netloc}")
    return f"{parts.scheme}://{parts.netloc}".lower()


def random_key(key: str) -> bool:
    """Whether a key is hex or base64 of enough bytes, and not plainly made up."""
    key = key.strip()
    base64_key = key.rstrip("=").translate(_STANDARD)
    try:
        data = (
            bytes.fromhex(key)
            if _HEX.fullmatch(key)
            else base64.b64decode(base64_key + "=" * (-len(base64_key) % 4), validate=True)
        )
    except ValueError:
        return False
    return len(data) >= KEY_BYTES and len(set(data)) >= DISTINCT_BYTES


def is_loopback(host: str) -> bool:
    """Whether a host name or address always means this machine."""
    name = host.lower().removeprefix("[").removesuffix("]")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class SignInConfig:
    """How people sign in at an OpenID provider."""

    issuer: str
    client_id: str
    client_secret: Secret
    """Empty for a public client: then PKCE alone protects the code."""
    label: str
    """Label of the sign-in button."""
    redirect_base: str
    tenant_claim: str
    tenants: Mapping[str, str]
    """By the claim's value; `*` matches every other value."""
    roles_claim: str
    """Empty if the provider assigns no roles."""
    session_keys: Secret
    session_seconds: int
    """When a session ends in any case."""
    session_idle_seconds: int
    """When it ends without use."""

    @property
    def own_origin(self) -> str:
        """The origin of this deployment's pages, as browsers spell it."""
        return origin_of(self.redirect_base)

    @property
    def redirect_uri(self) -> str:
        """Where the provider redirects the browser to; must be registered there."""
        return f"{self.redirect_base}/v1/signin/callback"

    @property
    def over_tls(self) -> bool:
        """Whether browsers reach this deployment by https."""
        return self.redirect_base.startswith("https://")


_NO_ISSUERS: tuple[IssuerConfig, ...] = ()
_NO_ORIGINS: frozenset[str] = frozenset()
_NO_HOSTS: frozenset[str] = frozenset()
_NO_TENANTS: tuple[tuple[str, str], ...] = ()
_NO_FRAMERS: tuple[tuple[str, tuple[str, ...]], ...] = ()
_NO_SECRET = Secret("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ProcessConfig):
    """The settings of a gateway."""

    listen: Address = setting("HUBBUB_LISTEN", address)
    bus_url: Secret = setting("HUBBUB_BUS_URL", secret)
    bus_partitions: int = setting("HUBBUB_BUS_PARTITIONS", whole(1, 1_024), 8)
    messages_target: str = setting("HUBBUB_MESSAGES_TARGET", text)
    presence_target: str = setting("HUBBUB_PRESENCE_TARGET", text)
    media_target: str = setting("HUBBUB_MEDIA_TARGET", text)
    integrations_target: str = setting("HUBBUB_INTEGRATIONS_TARGET", text)
    gateway_key: Secret = setting("HUBBUB_GATEWAY_KEY", secret, _NO_SECRET)
    """Ed25519 private key (PEM) that authenticates gateways to the services; all gateways share it."""
    dev_login: bool = setting("HUBBUB_DEV_LOGIN", flag, default=False)
    dev_key_file: str = setting("HUBBUB_DEV_KEY_FILE", text, "")
    """Ed25519 private key (PEM) of the development issuer; generated if missing."""
    issuers: tuple[IssuerConfig, ...] = setting("HUBBUB_ISSUERS", issuers, _NO_ISSUERS)
    hosts: frozenset[str] = setting("HUBBUB_HOSTS", hosts, _NO_HOSTS)
    """Names that requests may address; none means every name in production and the local ones elsewhere."""
    max_connections: int = setting("HUBBUB_MAX_CONNECTIONS", whole(0, 1 << 20), 0)
    """HTTP connections and sockets at one time; 0 for three quarters of the file limit."""
    allowed_origins: frozenset[str] = setting("HUBBUB_ALLOWED_ORIGINS", origins, _NO_ORIGINS)
    """Origins allowed besides the server's own."""
    widget_origins: tuple[tuple[str, tuple[str, ...]], ...] = setting("HUBBUB_WIDGET_ORIGINS", framers, _NO_FRAMERS)
    """Origins whose pages may frame a tenant's widget. A tenant without any has no widget."""
    web_root: Path | None = setting("HUBBUB_WEB_ROOT", Path, None)
    """The built web app; without one the gateway serves the API only."""
    storage_endpoint: str = setting("HUBBUB_MEDIA_S3_PUBLIC_ENDPOINT", text, "")
    """Where browsers upload to and load media from; the content security policy allows it."""
    heartbeat_seconds: int = setting("HUBBUB_HEARTBEAT_SECONDS", whole(1, 600), 25)
    socketio: bool = setting("HUBBUB_SOCKETIO", flag, default=False)
    """Serve Socket.IO clients at /socket.io/."""
    socketio_late_auth: bool = setting("HUBBUB_SOCKETIO_LATE_AUTH", flag, default=False)
    """Let Socket.IO clients begin with a WebSocket and show their token afterwards."""
    peer_listen: Address | None = setting("HUBBUB_PEER_LISTEN", address, None)
    """Where other gateways hand on what is for Socket.IO sessions of this one; none if this is the only gateway."""
    peer_host: str = setting("HUBBUB_PEER_HOST", text, "")
    """The host by which other gateways reach `peer_listen`; empty if it is the one there."""
    sends_per_second: int = setting("HUBBUB_SENDS_PER_SECOND", whole(1, 100_000), 50)
    burst: int = setting("HUBBUB_SEND_BURST", whole(1, 100_000), 200)
    user_sends_per_second: int = setting("HUBBUB_USER_SENDS_PER_SECOND", whole(0, 1_000_000), 0)
    """Limit of one user over all connections, HTTP, and gateways; 0 means four times the limit of a connection."""
    tenant_sends_per_second: int = setting("HUBBUB_TENANT_SENDS_PER_SECOND", whole(1, 10_000_000), 5_000)
    """Limit of all users of one tenant together; the burst is ten seconds' worth."""
    requests_per_second: int = setting("HUBBUB_REQUESTS_PER_SECOND", whole(1, 1_000_000), 100)
    """HTTP requests and handshakes of one user, by their costs."""
    request_burst: int = setting("HUBBUB_REQUEST_BURST", whole(1, 1_000_000), 1_000)
    tenant_requests_per_second: int = setting("HUBBUB_TENANT_REQUESTS_PER_SECOND", whole(1, 10_000_000), 2_000)
    """As `tenant_sends_per_second`, of requests."""
    joins_per_second: int = setting("HUBBUB_JOINS_PER_SECOND", whole(1, 100_000), 30)
    """Channels that one user may create or join."""
    unauthenticated_per_second: int = setting("HUBBUB_STRANGERS_PER_SECOND", whole(1, 100_000), 200)
    """Rejected credentials and development logins from one address; as many sign-ins, counted apart."""
    trusted_proxies: tuple[str, ...] | None = setting("HUBBUB_TRUSTED_PROXIES", networks, None)
    """Networks whose `X-Forwarded-For` is trusted."""
    connections_per_user: int = setting("HUBBUB_CONNECTIONS_PER_USER", whole(1, 100_000), 20)
    reconcile_seconds: int = setting("HUBBUB_RECONCILE_SECONDS", whole(1, 86_400), 60)
    """About how long it takes to compare the heads of all channels with the store."""
    oidc_issuer: str = setting("HUBBUB_OIDC_ISSUER", text, "")
    """The OpenID provider; without one the other OIDC settings are ignored."""
    oidc_client_id: str = setting("HUBBUB_OIDC_CLIENT_ID", text, "")
    oidc_client_secret: Secret = setting("HUBBUB_OIDC_CLIENT_SECRET", secret, _NO_SECRET)
    oidc_label: str = setting("HUBBUB_OIDC_LABEL", text, "single sign-on")
    oidc_redirect_base: str = setting("HUBBUB_OIDC_REDIRECT_BASE", base, "")
    oidc_tenant_claim: str = setting("HUBBUB_OIDC_TENANT_CLAIM", text, "tenant")
    oidc_tenants: tuple[tuple[str, str], ...] = setting("HUBBUB_OIDC_TENANTS", tenants, _NO_TENANTS)
    oidc_roles_claim: str = setting("HUBBUB_OIDC_ROLES_CLAIM", text, "")
    session_keys: Secret = setting("HUBBUB_SESSION_KEYS", secret, _NO_SECRET)
    session_seconds: int = setting("HUBBUB_SESSION_SECONDS", whole(60, MONTH_SECONDS), MONTH_SECONDS)
    session_idle_seconds: int = setting("HUBBUB_SESSION_IDLE_SECONDS", whole(60, MONTH_SECONDS), 43_200)
    token_seconds: int = setting("HUBBUB_TOKEN_SECONDS", whole(60, 366 * 86_400), TOKEN_SECONDS)
    """The longest life of an issuer's token."""
    admin_fresh_seconds: int = setting("HUBBUB_ADMIN_FRESH_SECONDS", whole(0, 86_400), 0)
    """How long ago an administrator may have signed in to act as one; 0 for any time."""

    def __post_init__(self) -> None:
        """Reject contradictory settings. Raises `ConfigError` with all problems."""
        problems = []
        if self.dev_login:
            problems += self._dev_login_problems()
        if self.trusted_proxies is None and self.production:
            problems.append("HUBBUB_TRUSTED_PROXIES is required where HUBBUB_ENV=production: a list of networks, or none")
        if self.max_connections > most_connections():
            problems.append("HUBBUB_MAX_CONNECTIONS must leave an eighth of the file limit (RLIMIT_NOFILE) free")
        problems += self._identity_problems()
        problems += self._grpc_problems()
        if self.production:
            problems += self._production_problems()
        if self.oidc_issuer:
            problems += self._sign_in_problems()
        if problems:
            raise ConfigError(problems)

    @property
    def connection_limit(self) -> int:
        """HTTP connections and sockets at one time."""
        return self.max_connections or file_limit() * 3 // 4

    @property
    def over_tls(self) -> bool:
        """Whether browsers reach this deployment by https."""
        return self.production or self.oidc_redirect_base.startswith("https://")

    def peer_address(self, port: int) -> str:
        """Where other gateways reach this one, which serves them at a port."""
        host = self.peer_host or (self.peer_listen.host if self.peer_listen else "")
        return f"[{host}]:{port}" if ":" in host.strip("[]") and not host.startswith("[") else f"{host}:{port}"

    @property
    def own_host(self) -> str:
        """The host of the public address; empty if that is not configured."""
        return urlsplit(self.oidc_redirect_base).hostname or ""

    @property
    def identity(self) -> Identity | None:
        """The identity with which the gateway calls the services; None where they do not ask for one."""
        if not self.gateway_key:
            return None
        return Identity(GATEWAY, private_key(self.gateway_key))

    @property
    def peers(self) -> tuple[CallerConfig, ...]:
        """The other gateways as callers: they have the same key. Empty where callers are not authenticated."""
        if not self.gateway_key:
            return ()
        key = public_jwk(private_key(self.gateway_key))
        return (CallerConfig(GATEWAY, [key], [Scope.GATEWAY], [EVERY_TENANT], calls_per_second=0),)

    @property
    def sign_in(self) -> SignInConfig | None:
        """How people sign in; None if the gateway accepts tokens only."""
        if not self.oidc_issuer:
            return None
        return SignInConfig(
            self.oidc_issuer,
            self.oidc_client_id,
            self.oidc_client_secret,
            label=self.oidc_label,
            redirect_base=self.oidc_redirect_base,
            tenant_claim=self.oidc_tenant_claim,
            tenants=dict(self.oidc_tenants),
            roles_claim=self.oidc_roles_claim,
            session_keys=self.session_keys,
            session_seconds=self.session_seconds,
            session_idle_seconds=self.session_idle_seconds,
        )

    def _dev_login_problems(self) -> list[str]:
        """A development login lets anyone be anyone, so it must not reach a machine that others can reach, or real users."""
        problems = []
        if self.production:
            problems.append("HUBBUB_DEV_LOGIN must not be set where HUBBUB_ENV=production")
        if not is_loopback(self.listen.host):
            problems.append("HUBBUB_DEV_LOGIN needs HUBBUB_LISTEN on the loopback interface, such as 127.0.0.1:8080")
        if self.oidc_issuer or self.issuers:
            problems.append("HUBBUB_DEV_LOGIN must not be set beside HUBBUB_OIDC_ISSUER or HUBBUB_ISSUERS")
        if not self.dev_key_file:
            problems.append("HUBBUB_DEV_KEY_FILE is required where HUBBUB_DEV_LOGIN=1")
        return problems

    def _identity_problems(self) -> list[str]:
        try:
            if self.identity is None and self.production:
                return ["HUBBUB_GATEWAY_KEY is required where HUBBUB_ENV=production"]
        except ValueError as error:
            return [f"HUBBUB_GATEWAY_KEY {error}"]
        return []

    def _grpc_problems(self) -> list[str]:
        targets = {
            "HUBBUB_MESSAGES_TARGET": self.messages_target,
            "HUBBUB_PRESENCE_TARGET": self.presence_target,
            "HUBBUB_MEDIA_TARGET": self.media_target,
            "HUBBUB_INTEGRATIONS_TARGET": self.integrations_target,
        }
        problems = []
        try:
            require_grpc_tls(self, self.peer_listen, targets)
        except ConfigError as error:
            problems += error.problems
        if self.peer_listen is not None and not self.gateway_key and not is_loopback(self.peer_listen.host):
            problems.append("HUBBUB_GATEWAY_KEY is required where HUBBUB_PEER_LISTEN is not a loopback address")
        return problems

    def _production_problems(self) -> list[str]:
        pages = self.allowed_origins.union(*(origins for _, origins in self.widget_origins))
        problems = [f"The origin {page} must begin with https://" for page in sorted(pages) if not page.startswith("https://")]
        if self.session_keys and not all(map(random_key, self.session_keys.split(","))):
            problems.append(
                f"HUBBUB_SESSION_KEYS must be hex or base64 of {KEY_BYTES} random bytes: `openssl rand -hex 32` makes a key"
            )
        try:
            require_redis_tls("HUBBUB_BUS_URL", self.bus_url, production=True)
        except ConfigError as error:
            problems += error.problems
        return problems

    def _sign_in_problems(self) -> list[str]:
        needed = {
            "HUBBUB_OIDC_CLIENT_ID": self.oidc_client_id,
            "HUBBUB_OIDC_REDIRECT_BASE": self.oidc_redirect_base,
            "HUBBUB_OIDC_TENANTS": self.oidc_tenants,
            "HUBBUB_SESSION_KEYS": self.session_keys,
        }
        problems = [f"{name} is required where HUBBUB_OIDC_ISSUER is given" for name, value in needed.items() if not value]
        if any(len(key.strip()) < KEY_CHARACTERS for key in self.session_keys.split(",")) and self.session_keys:
            problems.append(f"HUBBUB_SESSION_KEYS must be a comma list of keys of at least {KEY_CHARACTERS} characters")
        addresses = {"HUBBUB_OIDC_ISSUER": self.oidc_issuer, "HUBBUB_OIDC_REDIRECT_BASE": self.oidc_redirect_base}
        schemes = ("https://",) if self.production else ("https://", "http://")
        problems += [
            f"{name} must begin with https://" for name, value in addresses.items() if value and not value.startswith(schemes)
        ]
        return problems
