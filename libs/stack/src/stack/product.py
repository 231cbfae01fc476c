"""The product's processes: the command, the environment and the readiness question of each service.

Leaves the servers under them to `servers`, and keeping them running to `supervisor`.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from stack import ports, probes
from stack.callers import Trust
from stack.process import Command, Probe, at_once
from stack.servers import BUS, MEDIA_DATABASE, MESSAGES_DATABASE, PRESENCE_REDIS, S3_PUBLIC_ENDPOINT
from stack.settings import Settings

_DRAIN_SECONDS = 3
_KILL_AFTER_DRAIN_SECONDS = 5
_OWNED = ("HUBBUB_GATEWAY_", "HUBBUB_MESSAGES_", "HUBBUB_PRESENCE_", "HUBBUB_MEDIA_", "HUBBUB_BUS_")
"""Prefixes of variables that are for one part; what else is in the person's environment goes to every process."""


@dataclass(frozen=True, slots=True)
class Product:
    """One run of the product: where each process listens, chosen once, so that who comes back comes back there."""

    settings: Settings
    """What the person asked for."""
    trust: Trust
    """Who may call whom."""
    first_port: int
    """Of the first gateway."""
    listen: dict[str, str] = field(default_factory=lambda: {name: _address() for name in ("messages", "presence", "media")})
    """Address (host:port) of each service's gRPC server."""
    ops: dict[str, str] = field(default_factory=dict)
    """Address of the health and metrics server of each process."""

    @classmethod
    def choose(cls, settings: Settings, trust: Trust) -> "Product":
        """Choose every port. Raises InUseError when a gateway's is taken."""
        if settings.port == 0:
            first = ports.free(offsets=tuple(range(settings.gateways)))[0]
        else:
            first = settings.port
            for number in range(settings.gateways):
                ports.require_free(first + number, "HUBBUB_PORT")
        workers = [f"messages-worker-{number}" for number in range(settings.workers)]
        gateways = [f"gateway-{number}" for number in range(settings.gateways)]
        names = ["messages-api", *workers, "presence", "media", *gateways]
        return cls(settings, trust, first, ops={name: _address() for name in names})

    def gateway_url(self, number: int, host: str = ports.LOOPBACK) -> str:
        """Return the address of a gateway."""
        return f"http://{host}:{self.first_port + number}"

    def origins(self) -> list[str]:
        """Return the origins from which a browser may load the web app."""
        hosts = (ports.LOOPBACK, "localhost")
        return [self.gateway_url(number, host) for number in range(self.settings.gateways) for host in hosts]

    def endpoints(self) -> dict[str, object]:
        """Return where everything listens, for tools and tests."""
        gateways = [self.gateway_url(number) for number in range(self.settings.gateways)]
        return {"gateways": gateways, "services": self.listen, "ops": self.ops}

    def migrations(self, stores: Mapping[str, str]) -> list[Command]:
        """Return the commands that bring each database to the newest form, and then end."""
        return [
            self._command("messages-migrate", ("messages", "migrate"), _only(stores, MESSAGES_DATABASE)),
            self._command("media-migrate", ("media", "migrate"), _only(stores, "HUBBUB_MEDIA_")),
        ]

    def services(self, stores: Mapping[str, str]) -> list[Command]:
        """Return every process behind the gateways."""
        messages = _only(stores, MESSAGES_DATABASE, BUS)
        known = self.trust.services
        api = {**messages, **known, "HUBBUB_MESSAGES_LISTEN": self.listen["messages"]}
        presence = {**_only(stores, PRESENCE_REDIS), **known, "HUBBUB_PRESENCE_LISTEN": self.listen["presence"]}
        media = {**_only(stores, MEDIA_DATABASE, "HUBBUB_MEDIA_"), **known, "HUBBUB_MEDIA_LISTEN": self.listen["media"]}
        return [
            self._service("messages-api", ("messages", "api"), api),
            *(
                self._service(f"messages-worker-{number}", ("messages", "worker"), messages)
                for number in range(self.settings.workers)
            ),
            self._service("presence", ("presence",), presence),
            self._service("media", ("media",), media),
        ]

    def gateways(self, stores: Mapping[str, str]) -> list[Command]:
        """Return the gateways."""
        return [self._gateway(number, stores) for number in range(self.settings.gateways)]

    def _gateway(self, number: int, stores: Mapping[str, str]) -> Command:
        given, port = self.settings.given, self.first_port + number
        variables = {
            **_only(stores, BUS),
            **self.trust.gateways,
            # The page brings files straight to object storage: its policy must name the place, and nothing more of it.
            S3_PUBLIC_ENDPOINT: stores.get(S3_PUBLIC_ENDPOINT) or given(S3_PUBLIC_ENDPOINT),
            "HUBBUB_LISTEN": f"{ports.LOOPBACK}:{port}",
            "HUBBUB_MESSAGES_TARGET": self.listen["messages"],
            "HUBBUB_PRESENCE_TARGET": self.listen["presence"],
            "HUBBUB_MEDIA_TARGET": self.listen["media"],
            "HUBBUB_DEV_LOGIN": given("HUBBUB_DEV_LOGIN") or "1",
            "HUBBUB_DEV_KEY_FILE": given("HUBBUB_DEV_KEY_FILE") or str(self.settings.data / "keys" / "dev.pem"),
            "HUBBUB_WEB_ROOT": str(self.settings.web_root),
        }
        return self._service(f"gateway-{number}", ("gateway",), variables)

    def _service(self, name: str, module: tuple[str, ...], variables: Mapping[str, str]) -> Command:
        host, _, port = self.ops[name].partition(":")
        ready = partial(probes.http_ok, host, int(port), "/readyz")
        return self._command(name, module, {**variables, "HUBBUB_OPS_LISTEN": self.ops[name]}, ready)

    def _command(self, name: str, module: tuple[str, ...], variables: Mapping[str, str], ready: Probe = at_once) -> Command:
        env = {key: value for key, value in self.settings.environment.items() if not key.startswith(_OWNED)}
        env |= {key: value for key, value in self.settings.environment.items() if key.startswith(_owned_by(module[0]))}
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


def _address() -> str:
    return f"{ports.LOOPBACK}:{ports.free()[0]}"


def _only(stores: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """Return one part's share of the stores: no service is told another's password."""
    return {name: value for name, value in stores.items() if name.startswith(prefixes)}


def _owned_by(module: str) -> tuple[str, ...]:
    """Return the prefixes of the variables that this module's processes may see."""
    own = f"HUBBUB_{module.upper()}_"
    return (own, "HUBBUB_BUS_") if module in {"gateway", "messages"} else (own,)


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else _DRAIN_SECONDS
