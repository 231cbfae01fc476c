"""RPCs that post, change, list and search messages. Writes are commands, carried out by `messages.commands.batch.handle`."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from datetime import datetime

import msgspec

from bus.bus import BusError
from chassis import reader_store
from chassis.errors import InvalidArgument, NotFound
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import attachments, convert, cursors, validate
from messages.commands.batch import handle
from messages.commands.model import Body, Command, Delete, Outcome, Verdict
from messages.ids import rpc_command_id
from messages.message import Caller, ChannelId, Message, MessageId
from messages.payload import message_item
from messages.search import Hit, Wanted, indexed_by
from messages.service import access
from messages.service.rpc_base import RpcBase, fit_to_answer, json_array, logger, message_escapes
from messages.store import messages, search
from messages.store.search import PostgresSearch

_QUERY_CHARACTERS = 256
_INDEX_SECONDS = 5.0
"""A search does not wait for an index that lacks what is older than this. A live one says every second that it has everything."""
_LOOKS, _LOOK_SECONDS = 20, 0.05
"""How often, and after which pauses, a search looks whether the index has what was posted before it."""


class Messages(RpcBase):
    """RPCs about messages."""

    async def PostMessage(self, request: rpc.PostMessageRequest, _context: object) -> rpc.PostMessageResponse:
        """Post a message; it is stored when the call returns. Without a key, every call posts a new message.

        Of attachments only the ids are read: the media service says what they are, and whether the caller may post them.
        """
        caller = await self._admitted(request.caller)
        channel, key = validate.channel_id(request.channel), validate.key(request.key or uuid.uuid4().hex)
        uploads = convert.upload_ids(request.message)
        post = convert.post(request.message, caller.user)
        if uploads:
            attached = await attachments.resolve(self._media, caller, channel, uploads)
            post = msgspec.structs.replace(post, attachments=attached)
        outcome = await self._carry_out(caller, channel, key, post)
        return rpc.PostMessageResponse(
            message=outcome.message or "",
            seq=outcome.seq,
            at=convert.timestamp(outcome.at) if outcome.at else None,
            duplicate=outcome.verdict is Verdict.DUPLICATE,
        )

    async def EditMessage(self, request: rpc.EditMessageRequest, _context: object) -> rpc.EditMessageResponse:
        """Replace the content of the caller's own message."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        outcome = await self._carry_out(caller, channel, "", convert.edit(request, caller.user))
        return rpc.EditMessageResponse(seq=outcome.seq, at=convert.timestamp(outcome.at) if outcome.at else None)

    async def DeleteMessage(self, request: rpc.DeleteMessageRequest, _context: object) -> rpc.DeleteMessageResponse:
        """Delete a message. A repeated call returns the first deletion."""
        caller = await self._admitted(request.caller)
        channel, message = validate.channel_id(request.channel), validate.message_id(request.message)
        outcome = await self._carry_out(caller, channel, "", Delete(message))
        return rpc.DeleteMessageResponse(seq=outcome.seq, at=convert.timestamp(outcome.at) if outcome.at else None)

    async def _carry_out(self, caller: Caller, channel: ChannelId, key: str, body: Body) -> Outcome:
        command = Command(caller.tenant, channel, caller.user, key, rpc_command_id(), "", body, caller.token_issued_at)
        stored = await handle(self._database, [command], self._limits)
        try:
            await self._publisher.publish_stored(stored)
        except BusError:
            logger.warning("publishing_left_to_sweeper", entries=len(stored.entries))
        (outcome,) = stored.outcomes
        if outcome.error:
            raise outcome.error
        return outcome

    async def GetMessage(self, request: rpc.GetMessageRequest, _context: object) -> rpc.GetMessageResponse:
        """A message in its current state, for members."""
        channel, message = validate.channel_id(request.channel), validate.message_id(request.message)
        caller, membership = await self._member(request.caller, channel)
        async with self._database.connection([caller.tenant]) as connection:
            found = await messages.one(connection, caller.tenant, channel, message, floor=membership.floor)
        if found is None:
            raise NotFound
        return rpc.GetMessageResponse(message=convert.message(found))

    async def ListMessages(self, request: rpc.ListMessagesRequest, _context: object) -> rpc.ListMessagesResponse:
        """Messages in their current state, newest first, for members."""
        channel = validate.channel_id(request.channel)
        caller, membership = await self._member(request.caller, channel)
        after = max(validate.seq(request.after), membership.floor)
        before = validate.seq(request.before or validate.MAX_SEQ)
        limit = validate.page(request.page_size, 50, 200)
        thread = validate.message_id(request.thread) if request.thread else None
        if thread is None and not request.pinned:
            page = await messages.page(
                self._database, caller.tenant, channel, floor=membership.floor, after=after, before=before, limit=limit
            )
        else:
            async with self._database.walking(caller.tenant) as connection:
                page = await messages.chosen(
                    connection,
                    caller.tenant,
                    channel,
                    floor=membership.floor,
                    after=after,
                    before=before,
                    limit=limit,
                    thread=thread,
                    pinned=request.pinned,
                )
        if request.json:
            return rpc.ListMessagesResponse(items=json_array(map(message_item, page)))
        return rpc.ListMessagesResponse(messages=fit_to_answer(map(convert.message, page), message_escapes))

    async def ListMentions(self, request: rpc.ListMentionsRequest, _context: object) -> rpc.ListMentionsResponse:
        """Messages that mention the caller and that they may read, newest first."""
        caller = await self._admitted(request.caller)
        cursor = cursors.read_uuid(request.page_token)
        limit = validate.page(request.page_size, 50, 200)
        async with self._database.connection([caller.tenant]) as connection:
            hits = await messages.mentions(connection, caller, MessageId(cursor) if cursor else None, limit + 1)
            found = await search.read(connection, caller, hits[:limit])
        page, next_page = _page_of(hits, found, limit)
        return rpc.ListMentionsResponse(messages=page, next_page_token=next_page)

    async def SearchMessages(self, request: rpc.SearchMessagesRequest, _context: object) -> rpc.SearchMessagesResponse:
        """Search in the messages that the caller may read, newest first."""
        caller = await self._admitted(request.caller)
        query = validate.query(request.query, _QUERY_CHARACTERS)
        if not query.strip():
            raise InvalidArgument("A query cannot be empty")
        channel = validate.channel_id(request.channel) if request.channel else None
        if channel:
            access.member(await self._membership(caller, channel))
        sender = validate.user_id(request.sender) if request.sender else None
        cursor = cursors.read_uuid(request.page_token)
        limit = validate.page(request.page_size, 50, 200)
        async with self._database.walking(caller.tenant) as connection:
            generation = await search.serving(connection)
            scope = await search.scope(connection, caller, channel, generation)
            complete_to = await reader_store.read_to(connection, indexed_by(generation), self._publisher.partitions)
        incomplete = bool(scope.behind) and not await self._caught_up(caller, scope, generation, complete_to)
        wanted = Wanted(query, sender, scope.floors, MessageId(cursor) if cursor else None, limit + 1)
        async with self._database.walking(caller.tenant) as connection:
            hits = await PostgresSearch(generation).find(connection, wanted)
            found = await search.read(connection, caller, hits[:limit])
        page, next_page = _page_of(hits, found, limit)
        response = rpc.SearchMessagesResponse(messages=page, next_page_token=next_page, incomplete=incomplete)
        if complete_to:
            response.complete_to.CopyFrom(convert.timestamp(complete_to))
        return response

    async def _caught_up(self, caller: Caller, scope: search.Scope, generation: int, complete_to: datetime | None) -> bool:
        """Wait a moment for the index to have what was posted before the call, unless it is far behind."""
        if complete_to is None or time.time() - complete_to.timestamp() > _INDEX_SECONDS:
            return False
        for _ in range(_LOOKS):
            await asyncio.sleep(_LOOK_SECONDS)
            async with self._database.connection([caller.tenant]) as connection:
                if not await search.is_behind(connection, scope.behind, generation):
                    return True
        return False


def _page_of(hits: Sequence[Hit], found: Sequence[Message], limit: int) -> tuple[list[nouns.Message], str]:
    """What fits of the messages that were read for the first `limit` hits, and the token of the next page."""
    page = fit_to_answer(map(convert.message, found), message_escapes)
    if len(page) < len(found):
        return page, cursors.write(page[-1].id)
    return page, cursors.write(hits[limit - 1].message) if len(hits) > limit else ""
