"""Selects the embedded servers of a run, and gives the services the addresses of these or of the user's own servers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from stack import ports
from stack.objects import REGION, Objects
from stack.postgres import Postgres
from stack.process import Command
from stack.settings import Settings
from stack.valkey import Valkey

MESSAGES_DATABASE = "HUBBUB_MESSAGES_DATABASE_URL"
MEDIA_DATABASE = "HUBBUB_MEDIA_DATABASE_URL"
INTEGRATIONS_DATABASE = "HUBBUB_INTEGRATIONS_DATABASE_URL"
BUS = "HUBBUB_BUS_URL"
PRESENCE_REDIS = "HUBBUB_PRESENCE_REDIS_URL"
S3_ENDPOINT = "HUBBUB_MEDIA_S3_ENDPOINT"
S3_PUBLIC_ENDPOINT = "HUBBUB_MEDIA_S3_PUBLIC_ENDPOINT"

MESSAGES_MIGRATION_DATABASE = "HUBBUB_MESSAGES_MIGRATION_DATABASE_URL"
MESSAGES_SWEEPER_DATABASE = "HUBBUB_MESSAGES_SWEEPER_DATABASE_URL"
MEDIA_MIGRATION_DATABASE = "HUBBUB_MEDIA_MIGRATION_DATABASE_URL"
MEDIA_SWEEPER_DATABASE = "HUBBUB_MEDIA_SWEEPER_DATABASE_URL"
INTEGRATIONS_MIGRATION_DATABASE = "HUBBUB_INTEGRATIONS_MIGRATION_DATABASE_URL"
INTEGRATIONS_SWEEPER_DATABASE = "HUBBUB_INTEGRATIONS_SWEEPER_DATABASE_URL"

_DATABASES = {
    MESSAGES_DATABASE: ("messages", MESSAGES_MIGRATION_DATABASE, MESSAGES_SWEEPER_DATABASE),
    MEDIA_DATABASE: ("media", MEDIA_MIGRATION_DATABASE, MEDIA_SWEEPER_DATABASE),
    INTEGRATIONS_DATABASE: ("integrations", INTEGRATIONS_MIGRATION_DATABASE, INTEGRATIONS_SWEEPER_DATABASE),
}
"""By the variable of the service's role: the database, and the variables of its owner and its sweeper."""
_REDIS_DATABASES = {BUS: 0, PRESENCE_REDIS: 1}
_REDIS_USERS = {
    BUS: ("gateway", "messages-api", "messages-worker", "messages-search", "messages-feed"),
    PRESENCE_REDIS: ("presence",),
}


def as_user(variable: str, user: str) -> str:
    """Return the name under which `Servers.addresses` returns the address of a Redis database for one user."""
    return f"{variable}:{user}"


@dataclass(frozen=True, slots=True)
class Servers:
    """The embedded servers of one run; None where the user provides a server."""

    postgres: Postgres | None
    valkey: Valkey | None
    objects: Objects | None

    @classmethod
    def choose(cls, settings: Settings, origins: Sequence[str]) -> "Servers":
        """Select each server unless the environment has all its addresses. Raises RefusedError."""
        secrets = settings.data / "keys"
        return cls(
            postgres=Postgres.place(settings.data / "postgres", secrets, ports.free()[0])
            if not all(map(settings.given, _DATABASES))
            else None,
            valkey=Valkey(settings.data / "valkey", secrets, ports.free()[0])
            if not all(map(settings.given, _REDIS_DATABASES))
            else None,
            objects=Objects(settings.data / "objects", secrets, Objects.choose_ports(), origins=origins)
            if not settings.given(S3_ENDPOINT)
            else None,
        )

    async def prepare(self) -> list[Command]:
        """Create the servers' files, and return the commands to run. Raises NotReadyError."""
        present = [server for server in (self.postgres, self.valkey, self.objects) if server is not None]
        await asyncio.gather(*(server.prepare() for server in present))
        return [server.command() for server in present]

    async def addresses(self, settings: Settings) -> dict[str, str]:
        """Return the variables of all stores, creating missing databases and roles. The servers must be running.

        A Redis variable holds the address for tools. Where the embedded server serves it, each process has its own (`as_user`).
        """
        found = {name: settings.given(name) for name in (*_DATABASES, *_REDIS_DATABASES) if settings.given(name)}
        for variable, (database, migration, sweeper) in _DATABASES.items():
            if variable in found:
                found |= {name: settings.given(name) for name in (migration, sweeper) if settings.given(name)}
            elif self.postgres is not None:
                urls = await self.postgres.ensure_service_database(database)
                found |= {variable: urls.service, migration: urls.owner, sweeper: urls.sweeper}
        if self.valkey is not None:
            for variable, number in _REDIS_DATABASES.items():
                if variable not in found:
                    found[variable] = self.valkey.url(number)
                    found |= {as_user(variable, user): self.valkey.url(number, user) for user in _REDIS_USERS[variable]}
        if self.objects is not None:
            found |= {
                S3_ENDPOINT: self.objects.endpoint,
                S3_PUBLIC_ENDPOINT: self.objects.endpoint,
                "HUBBUB_MEDIA_S3_BUCKET": self.objects.bucket,
                "HUBBUB_MEDIA_S3_REGION": REGION,
                "HUBBUB_MEDIA_S3_ACCESS_KEY": self.objects.access_key,
                "HUBBUB_MEDIA_S3_SECRET_KEY": self.objects.secret_key,
            }
        return found
