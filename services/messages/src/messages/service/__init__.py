"""The gRPC service, one module for each kind of resource. Every call is authorized by the user on whose behalf it is made."""

from __future__ import annotations

import grpc

from chassis.postgres import Database
from hubbub.media.v1.media_service_pb2_grpc import MediaServiceStub
from hubbub.messages.v1 import messages_service_pb2 as rpc
from hubbub.messages.v1 import messages_service_pb2_grpc as stubs
from messages.limits import DEFAULT_LIMITS, Limits
from messages.publisher import Publisher
from messages.revocations import Revocations
from messages.service.bots import Bots
from messages.service.channels import Channels
from messages.service.hooks import Hooks
from messages.service.log import Log
from messages.service.members import Members
from messages.service.messages import Messages
from messages.service.moderation import Moderation
from messages.service.reports import Reports
from messages.service.sessions import Sessions
from messages.service.users import Users

SERVICE_NAME: str = rpc.DESCRIPTOR.services_by_name["MessagesService"].full_name


class MessagesService(
    Users, Sessions, Bots, Hooks, Channels, Members, Messages, Log, Moderation, Reports, stubs.MessagesServiceServicer
):
    """hubbub.messages.v1.MessagesService."""


def add_service(
    server: grpc.aio.Server,
    database: Database,
    publisher: Publisher,
    revocations: Revocations,
    *,
    limits: Limits = DEFAULT_LIMITS,
    media: MediaServiceStub | None = None,
) -> None:
    """Serve the RPCs on `server`. Without `media`, posts with attachments are refused."""
    service = MessagesService(database, publisher, revocations, limits, media=media)
    stubs.add_MessagesServiceServicer_to_server(service, server)
