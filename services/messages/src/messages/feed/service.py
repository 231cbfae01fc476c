"""hubbub.messages.v1.FeedService: streams for the calling service, and its readers."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

import grpc

from chassis.context import current_caller, serving
from chassis.errors import InvalidArgument, NotFound
from chassis.postgres import EVERY_TENANT
from chassis.proto_enums import requested_word
from hubbub.messages.v1 import feed_service_pb2 as rpc
from hubbub.messages.v1 import feed_service_pb2_grpc as stubs
from messages import convert, cursors
from messages.feed import filters
from messages.feed.stream import Feeds, Stream
from messages.store import feed
from messages.store.feed import ReaderName, ReaderState

SERVICE_NAME: str = rpc.DESCRIPTOR.services_by_name["FeedService"].full_name
_ANY_CALLER = "local"
"""The caller where services are not authenticated."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


class FeedService(stubs.FeedServiceServicer):
    """The RPCs."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds

    async def StreamEvents(self, request: rpc.StreamEventsRequest, _context: object) -> AsyncGenerator[rpc.StreamEventsResponse]:
        """Every event that the reader has not acknowledged, and then every new one."""
        reader, tenants = _reader(request.reader), serving()
        chosen = filters.requested(request.filter, tenants)
        chosen.tells_kinds = request.with_channel_kinds
        if request.start:
            requested_word(rpc.ReaderStart, request.start, "start")
        if request.cursor:
            await self._acknowledge(reader, request.cursor)
        stream = Stream(self._feeds, reader, tenants, chosen)
        async for response in stream.responses(request.start):
            yield response

    async def AcknowledgeEvents(self, request: rpc.AcknowledgeEventsRequest, _context: object) -> rpc.AcknowledgeEventsResponse:
        """Events that need not be sent again."""
        await self._acknowledge(_reader(request.reader), request.cursor)
        return rpc.AcknowledgeEventsResponse()

    async def _acknowledge(self, reader: ReaderName, cursor: str) -> None:
        position = cursors.read(cursor, tuple[str, int], None)
        if position is None:
            raise InvalidArgument("cursor is required")
        async with self._feeds.database.connection(EVERY_TENANT) as connection:
            await feed.acknowledge(connection, reader, *position)

    async def ListReaders(self, _request: rpc.ListReadersRequest, _context: object) -> rpc.ListReadersResponse:
        """The caller's readers."""
        async with self._feeds.database.connection(EVERY_TENANT) as connection:
            states = await feed.listed(connection, _caller(), self._feeds.partitions)
        return rpc.ListReadersResponse(readers=map(_listed, states))

    async def DeleteReader(self, request: rpc.DeleteReaderRequest, _context: object) -> rpc.DeleteReaderResponse:
        """A reader that is not needed any more."""
        if not await feed.delete(self._feeds.database, _reader(request.reader).key):
            raise NotFound
        return rpc.DeleteReaderResponse()


def add_feed(server: grpc.aio.Server, feeds: Feeds) -> None:
    """Serve the RPCs on `server`."""
    stubs.add_FeedServiceServicer_to_server(FeedService(feeds), server)


def _caller() -> str:
    return current_caller() or _ANY_CALLER


def _reader(name: str) -> ReaderName:
    if not _NAME.fullmatch(name):
        raise InvalidArgument("The name of a reader is 1 to 32 of a-z 0-9 -, a letter first")
    return ReaderName(_caller(), name)


def _listed(state: ReaderState) -> rpc.Reader:
    made = rpc.Reader(
        name=state.reader.name,
        created_at=convert.timestamp(state.created_at),
        used_at=convert.timestamp(state.used_at),
        unacknowledged=state.unacknowledged,
    )
    if state.read_to is not None:
        made.read_to.CopyFrom(convert.timestamp(state.read_to))
    return made
