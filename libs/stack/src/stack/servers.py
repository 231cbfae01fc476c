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
BUS = "HUBBUB_BUS_URL"
PRESENCE_REDIS = "HUBBUB_PRESENCE_REDIS_URL"
S3_ENDPOINT = "HUBBUB_MEDIA_S3_ENDPOINT"
S3_PUBLIC_ENDPOINT = "HUBBUB_MEDIA_S3_PUBLIC_ENDPOINT"

_DATABASES = {MESSAGES_DATABASE: "messages", MEDIA_DATABASE: "media"}
_REDIS_DATABASES = {BUS: 0, PRESENCE_REDIS: 1}


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
        """Return the variables of all stores, creating missing databases. The servers must be running."""
        found = {name: settings.given(name) for name in (*_DATABASES, *_REDIS_DATABASES) if settings.given(name)}
        if self.postgres is not None:
            for variable, database in _DATABASES.items():
                if variable not in found:
                    found[variable] = await self.postgres.ensure_database(database)
        if self.valkey is not None:
            for variable, number in _REDIS_DATABASES.items():
                found.setdefault(variable, self.valkey.url(number))
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
