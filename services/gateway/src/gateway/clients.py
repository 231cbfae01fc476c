"""Opens the gateway's gRPC channels to the other services, and defines the deadlines of calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.grpc_client import open_channel
from chassis.grpc_tls import TlsFiles
from gateway.config import Config
from hubbub.integrations.v1.integrations_service_pb2_grpc import IntegrationsServiceStub
from hubbub.media.v1.media_service_pb2_grpc import MediaServiceStub
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from hubbub.presence.v1.presence_service_pb2_grpc import PresenceServiceStub

CALL_SECONDS = 5.0
"""Any unary call."""
CATCH_UP_SECONDS = 60.0
"""A whole catch-up, at the pace of the client."""


@dataclass(frozen=True, slots=True)
class Clients:
    """Stubs of the services."""

    messages: MessagesServiceStub
    presence: PresenceServiceStub
    media: MediaServiceStub
    integrations: IntegrationsServiceStub


@asynccontextmanager
async def connect(config: Config) -> AsyncIterator[Clients]:
    """Open stubs that connect at first use and reconnect by themselves."""
    identity, tls = config.identity, TlsFiles.of(config)
    async with (
        open_channel(config.messages_target, identity, tls) as messages,
        open_channel(config.presence_target, identity, tls) as presence,
        open_channel(config.media_target, identity, tls) as media,
        open_channel(config.integrations_target, identity, tls) as integrations,
    ):
        yield Clients(
            MessagesServiceStub(messages),
            PresenceServiceStub(presence),
            MediaServiceStub(media),
            IntegrationsServiceStub(integrations),
        )
