"""The product's processes: command, environment and readiness check of each. `servers` defines the servers they use."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from stack import credentials, ports, probes
from stack.callers import CallerVariables
from stack.process import Command, Probe, always_ready
from stack.servers import (
    BUS,
    INTEGRATIONS_DATABASE,
    INTEGRATIONS_MIGRATION_DATABASE,
    INTEGRATIONS_SWEEPER_DATABASE,
    MEDIA_DATABASE,
    MEDIA_MIGRATION_DATABASE,
    MEDIA_SWEEPER_DATABASE,
    MESSAGES_DATABASE,
    MESSAGES_MIGRATION_DATABASE,
    MESSAGES_SWEEPER_DATABASE,
    PRESENCE_REDIS,
    S3_PUBLIC_ENDPOINT,
    as_user,
)
from stack.settings import Settings

_DRAIN_SECONDS = 3
_KILL_AFTER_DRAIN_SECONDS = 5
_REAL_SIGN_IN = ("HUBBUB_OIDC_ISSUER", "HUBBUB_ISSUERS")
"""With one of these, gateways refuse to start with the development login."""
_OWNED = ("HUBBUB_GATEWAY_", "HUBBUB_MESSAGES_", "HUBBUB_PRESENCE_", "HUBBUB_MEDIA_", "HUBBUB_INTEGRATIONS_", "HUBBUB_BUS_")
"""Prefixes of variables that only one service gets. All other variables of the user's environment go to every process."""
INTEGRATIONS_KEYS = "HUBBUB_INTEGRATIONS_KEYS"
PRIVATE_ENDPOINTS = "HUBBUB_INTEGRATIONS_PRIVATE_ENDPOINTS"
_SERVICES = ("messages", "feed", "presence", "media", "integrations")
"""Services that listen for RPCs."""


@dataclass(frozen=True, slots=True)
class Product:
    """One run of the product. Every process keeps its address when it is restarted."""

    settings: Settings
    callers: CallerVariables
    first_port: int
    """Port of the first gateway."""
    listen: dict[str, str]
    """Address (host:port) of each service's gRPC server, and of each gateway's for the other gateways."""
    ops: dict[str, str] = field(default_factory=dict)
    """Address of the health and metrics server of each process except the gateways, whose public port has them."""

    @classmethod
    def choose(cls, settings: Settings, callers: CallerVariables) -> "Product":
        """Choose all ports. Raises InUseError if a gateway's port is taken."""
        if settings.port == 0:
            first = ports.free(offsets=tuple(range(settings.gateways)))[0]
        else:
            first = settings.port
            for number in range(settings.gateways):
                ports.require_free(first + number, "HUBBUB_PORT")
        workers = [f"messages-worker-{number}" for number in range(settings.workers)]
        search = ["messages-search"] if settings.search else []
        names = ["messages-api", *workers, *search, "messages-feed", "presence", "media", "integrations"]
        gateways = [_gateway_name(number) for number in range(settings.gateways)]
        listen = {name: _address() for name in (*_SERVICES, *gateways)}
        return cls(settings, callers, first, listen, ops={name: _address() for name in names})

    def gateway_url(self, number: int, host: str = ports.LOOPBACK) -> str:
        """Return the URL of a gateway."""
        return f"http://{host}:{self.first_port + number}"

    def origins(self) -> list[str]:
        """Return the origins from which a browser may load the web app."""
        hosts = (ports.LOOPBACK, "localhost")
        return [self.gateway_url(number, host) for number in range(self.settings.gateways) for host in hosts]

    def endpoints(self) -> dict[str, object]:
        """Return all addresses, for tools and tests."""
        gateways = [self.gateway_url(number) for number in range(self.settings.gateways)]
        return {"gateways": gateways, "services": self.listen, "ops": self.ops}

    def migrations(self, stores: Mapping[str, str]) -> list[Command]:
        """Return the commands that migrate each database."""
        return [
            self._command(
                "messages-migrate", ("messages", "migrate"), _owner(stores, MESSAGES_MIGRATION_DATABASE, MESSAGES_DATABASE)
            ),
            self._command("media-migrate", ("media", "migrate"), _owner(stores, MEDIA_MIGRATION_DATABASE, MEDIA_DATABASE)),
            self._command(
                "integrations-migrate",
                ("integrations", "migrate"),
                _owner(stores, INTEGRATIONS_MIGRATION_DATABASE, INTEGRATIONS_DATABASE),
            ),
        ]

    def services(self, stores: Mapping[str, str]) -> list[Command]:
        """Return the commands of all services."""
        messages = _only(stores, MESSAGES_DATABASE, MESSAGES_SWEEPER_DATABASE)
        callers = self.callers.services
        bus = _redis(stores, BUS, "messages-api")
        own = {"HUBBUB_MESSAGES_LISTEN": self.listen["messages"], "HUBBUB_MEDIA_TARGET": self.listen["media"]}
        api = {**messages, **bus, **callers, **self.callers.messages, **own}
        worker = {**messages, **_redis(stores, BUS, "messages-worker")}
        search = {**messages, **_redis(stores, BUS, "messages-search")}
        feed = {**messages, **_redis(stores, BUS, "messages-feed"), **callers, "HUBBUB_MESSAGES_LISTEN": self.listen["feed"]}
        redis = _redis(stores, PRESENCE_REDIS, "presence")
        presence = {**redis, **callers, "HUBBUB_PRESENCE_LISTEN": self.listen["presence"]}
        databases = _only(stores, MEDIA_DATABASE, MEDIA_SWEEPER_DATABASE)
        media = {**databases, **_only(stores, "HUBBUB_MEDIA_S3_"), **callers, "HUBBUB_MEDIA_LISTEN": self.listen["media"]}
        return [
            self._service("messages-api", ("messages", "api"), api),
            *(
                self._service(f"messages-worker-{number}", ("messages", "worker"), worker)
                for number in range(self.settings.workers)
            ),
            *([self._service("messages-search", ("messages", "search"), search)] if self.settings.search else []),
            self._service("messages-feed", ("messages", "feed"), feed),
            self._service("presence", ("presence",), presence),
            self._service("media", ("media",), media),
            self._service("integrations", ("integrations",), self._integrations(stores)),
        ]

    def _integrations(self, stores: Mapping[str, str]) -> dict[str, str]:
        production = self.settings.given("HUBBUB_ENV") == "production"
        return {
            **_only(stores, INTEGRATIONS_DATABASE, INTEGRATIONS_SWEEPER_DATABASE),
            **self.callers.services,
            **self.callers.integrations,
            "HUBBUB_INTEGRATIONS_LISTEN": self.listen["integrations"],
            "HUBBUB_FEED_TARGET": self.listen["feed"],
            "HUBBUB_MESSAGES_TARGET": self.listen["messages"],
            INTEGRATIONS_KEYS: self.settings.given(INTEGRATIONS_KEYS)
            or credentials.fernet_key(self.settings.data / "keys" / "integrations.key"),
            # Receivers that a developer runs on this machine.
            PRIVATE_ENDPOINTS: self.settings.given(PRIVATE_ENDPOINTS) or str(int(not production)),
        }

    def gateways(self, stores: Mapping[str, str]) -> list[Command]:
        """Return the commands of the gateways."""
        return [self._gateway(number, stores) for number in range(self.settings.gateways)]

    def _gateway(self, number: int, stores: Mapping[str, str]) -> Command:
        given, port = self.settings.given, self.first_port + number
        variables = {
            **_redis(stores, BUS, "gateway"),
            **self.callers.gateways,
            # Browsers upload directly to object storage, so the page's content security policy must allow its URL.
            S3_PUBLIC_ENDPOINT: stores.get(S3_PUBLIC_ENDPOINT) or given(S3_PUBLIC_ENDPOINT),
            "HUBBUB_LISTEN": f"{ports.LOOPBACK}:{port}",
            "HUBBUB_SOCKETIO": given("HUBBUB_SOCKETIO") or "1",
            "HUBBUB_PEER_LISTEN": self.listen[_gateway_name(number)],
            "HUBBUB_MESSAGES_TARGET": self.listen["messages"],
            "HUBBUB_PRESENCE_TARGET": self.listen["presence"],
            "HUBBUB_MEDIA_TARGET": self.listen["media"],
            "HUBBUB_INTEGRATIONS_TARGET": self.listen["integrations"],
            "HUBBUB_DEV_LOGIN": given("HUBBUB_DEV_LOGIN") or ("0" if any(map(given, _REAL_SIGN_IN)) else "1"),
            "HUBBUB_DEV_KEY_FILE": given("HUBBUB_DEV_KEY_FILE") or str(self.settings.data / "keys" / "dev.pem"),
            "HUBBUB_WEB_ROOT": str(self.settings.web_root),
        }
        ready = partial(probes.http_ok, ports.LOOPBACK, port, "/readyz")
        return self._command(_gateway_name(number), ("gateway",), variables, ready)

    def _service(self, name: str, module: tuple[str, ...], variables: Mapping[str, str]) -> Command:
        host, _, port = self.ops[name].partition(":")
        ready = partial(probes.http_ok, host, int(port), "/readyz")
        return self._command(name, module, {**variables, "HUBBUB_OPS_LISTEN": self.ops[name]}, ready)

    def _command(self, name: str, module: tuple[str, ...], variables: Mapping[str, str], ready: Probe = always_ready) -> Command:
        env = {key: value for key, value in self.settings.environment.items() if not key.startswith(_OWNED)}
        env |= {key: value for key, value in self.settings.environment.items() if key.startswith(_owned_by(module[0]))}
        env = {key: value for key, value in env.items() if not key.endswith("_MIGRATION_DATABASE_URL")}
        env.setdefault("HUBBUB_ENV", "local")
        env.setdefault("HUBBUB_DRAIN_SECONDS", str(_DRAIN_SECONDS))
        env |= {"HUBBUB_INSTANCE": name, "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
        return Command(
            name=name,
            argv=(sys.executable, "-m", *module),
            ready=ready,
            env={**env, **variables},
            grace_seconds=_seconds(env["HUBBUB_DRAIN_SECONDS"]) + _KILL_AFTER_DRAIN_SECONDS,
        )


def _gateway_name(number: int) -> str:
    return f"gateway-{number}"


def _address() -> str:
    return f"{ports.LOOPBACK}:{ports.free()[0]}"


def _only(stores: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """Return the variables with these prefixes: no service gets another one's password."""
    return {name: value for name, value in stores.items() if name.startswith(prefixes)}


def _owner(stores: Mapping[str, str], migration: str, service: str) -> dict[str, str]:
    """Return the address for migrations: the owner's, or that of the one role that the user gave."""
    return {migration: stores.get(migration) or stores[service]}


def _redis(stores: Mapping[str, str], variable: str, user: str) -> dict[str, str]:
    """Return the address of a Redis database as a process uses it."""
    return {variable: stores.get(as_user(variable, user)) or stores[variable]}


def _owned_by(module: str) -> tuple[str, ...]:
    """Return the prefixes of the variables that this service may see."""
    own = f"HUBBUB_{module.upper()}_"
    return (own, "HUBBUB_BUS_") if module in {"gateway", "messages"} else (own,)


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else _DRAIN_SECONDS
