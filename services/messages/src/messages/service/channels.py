"""RPCs that list, create and change channels."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from chassis.errors import InvalidArgument, NotFound
from chassis.rooms import NAMED_MEMBERS
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert, cursors, policy, validate
from messages.audit import AuditAction
from messages.message import Caller, ChannelId, Details, EntryKind, UserId
from messages.policy import Action, ChannelKind, Role
from messages.service import access, consent, roster
from messages.service.rpc_base import Change, RpcBase, channel_escapes, fit_to_answer
from messages.store import channels, messages, users


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page of channels ended."""

    active: Annotated[str, Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]{8,15}\+00\Z")]
    channel: Annotated[str, Meta(pattern=r"\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]


_PAGE = 500


class Channels(RpcBase):
    """RPCs about channels."""

    async def ListChannels(self, request: rpc.ListChannelsRequest, _context: object) -> rpc.ListChannelsResponse:
        """The caller's channels, or those that they could join."""
        limit = validate.page(request.page_size, _PAGE, _PAGE)
        after = cursors.read(request.page_token, _Cursor, None)
        query = validate.query(request.query, validate.NAME_CHARACTERS)
        position = (after.active, after.channel) if after else None
        _, (rows,) = await self._admitted_with(
            request.caller,
            lambda caller: [channels.page_query(caller, position, limit + 1, joinable=request.joinable, query=query)],
        )
        found = channels.page_from(rows)
        page = fit_to_answer((convert.channel_listing(view) for _, view in found[:limit]), channel_escapes)
        after_page = cursors.write(_Cursor(*found[len(page) - 1][0])) if len(page) < len(found) else ""
        return rpc.ListChannelsResponse(channels=page, next_page_token=after_page)

    async def GetChannel(self, request: rpc.GetChannelRequest, _context: object) -> rpc.GetChannelResponse:
        """One channel as the caller sees it. With an upload id: only for members who may see the upload."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        membership = access.visible(await self._membership(caller, channel))
        if request.upload:
            access.member(membership)
            await self._require_visible(caller, channel, validate.uuid(request.upload), membership.floor)
        return rpc.GetChannelResponse(channel=await self._listing(caller, channel))

    async def _require_visible(self, caller: Caller, channel: ChannelId, upload: str, floor: int) -> None:
        async with self._database.connection([caller.tenant]) as connection:
            if await messages.is_hidden(connection, caller.tenant, channel, upload, floor=floor):
                raise NotFound

    async def CreateChannel(self, request: rpc.CreateChannelRequest, _context: object) -> rpc.CreateChannelResponse:
        """Create a channel. For two users with a direct channel, returns that one."""
        caller = await self._admitted(request.caller)
        kind, history = convert.channel_kind(request.kind), convert.history(request.history)
        name = validate.line(request.name, "name", validate.NAME_CHARACTERS)
        validate.at_most(request.members, validate.MEMBERS_AT_ONCE, "members")
        others = [validate.user_id(user) for user in dict.fromkeys(request.members) if user != caller.user]
        direct_key = None
        if kind is ChannelKind.DIRECT:
            if len(others) != 1 or name:
                raise InvalidArgument("A direct channel has one other member and no name")
            direct_key = channels.direct_key(caller.user, others[0])
        new = channels.NewChannel(caller.tenant, kind, name, history, direct_key)
        channel, invited = await self._create(caller, new, others)
        listing = await self._listing(caller, channel)
        return rpc.CreateChannelResponse(channel=listing, created=invited is not None, invited=invited)

    async def _create(
        self, caller: Caller, new: channels.NewChannel, others: list[UserId]
    ) -> tuple[ChannelId, list[UserId] | None]:
        """Returns the channel and the users who were invited; None if the channel existed."""
        async with self._database.transaction([caller.tenant]) as connection:
            if len(await users.names(connection, caller.tenant, others)) < len(others):
                raise NotFound
            channel = await channels.create(connection, new)
            if channel is None:
                found = await channels.find_direct(connection, new)
                if found is None:
                    raise NotFound
                return found, None
            await consent.require_room(connection, caller, self._limits)
            direct = new.kind is ChannelKind.DIRECT
            joining, invited = await consent.sort(connection, caller, None, others, self._limits, direct=direct)
            change = Change(connection, caller, channel, None)
            await change.append(EntryKind.CHANNEL_CREATED, Details(name=new.name))
            roles = {caller.user: policy.first_role(new.kind), **dict.fromkeys(joining, Role.MEMBER)}
            room = roster.Room(new.kind, new.name, new.history)
            if len(roles) <= NAMED_MEMBERS:
                await roster.join(change, roles, room)
            else:  # the creator's joining begins the log in any case
                await roster.join(change, {caller.user: roles.pop(caller.user)}, room)
                await roster.join(change, roles, msgspec.structs.replace(room, members=1))
            await change.invite(invited, Role.MEMBER)
        await self._publish_change(change)
        return channel, invited

    async def UpdateChannel(self, request: rpc.UpdateChannelRequest, _context: object) -> rpc.UpdateChannelResponse:
        """Change name, topic or slow mode. Appends no entry when nothing changes."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        name = validate.line(request.name, "name", validate.NAME_CHARACTERS)
        topic = validate.line(request.topic, "topic", validate.TOPIC_CHARACTERS)
        if request.slow_mode_seconds > validate.SLOW_MODE_SECONDS:
            raise InvalidArgument(f"Slow mode is at most {validate.SLOW_MODE_SECONDS} seconds")
        async with self._changing(caller, channel, Action.CHANGE) as change:
            former, _ = await access.may_speak(change.connection, caller, change.membership, Action.CHANGE)
            wanted = Details(
                name=name if request.HasField("name") else former.name,
                topic=topic if request.HasField("topic") else former.topic,
                slow_mode_seconds=request.slow_mode_seconds
                if request.HasField("slow_mode_seconds")
                else former.slow_mode_seconds,
            )
            if wanted != Details(name=former.name, topic=former.topic, slow_mode_seconds=former.slow_mode_seconds):
                await channels.update(change.connection, caller.tenant, channel, wanted)
                await change.append(EntryKind.CHANNEL_UPDATED, wanted)
            if wanted.slow_mode_seconds != former.slow_mode_seconds:
                await change.record(
                    AuditAction.SLOW_MODE_CHANGED, seconds=wanted.slow_mode_seconds, former=former.slow_mode_seconds
                )
        return rpc.UpdateChannelResponse(channel=await self._listing(caller, channel))

    async def MuteChannel(self, request: rpc.MuteChannelRequest, _context: object) -> rpc.MuteChannelResponse:
        """Mute or unmute the channel for the caller. Not part of the log."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        access.member(await self._membership(caller, channel))
        async with self._database.connection([caller.tenant]) as connection:
            await channels.mute(connection, caller, channel, muted=request.muted)
        return rpc.MuteChannelResponse(channel=await self._listing(caller, channel))
