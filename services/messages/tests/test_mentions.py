"""The messages that mention a user."""

from __future__ import annotations

from chassis.errors import InvalidArgument
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Delete, Post
from messages.message import ChannelId, MessageId, UserId
from services.messages.tests.conftest import Town, refused


async def test_mentions_are_listed_page_by_page_to_those_who_may_still_read_them(town: Town) -> None:
    room, other = ChannelId(await town.channel("ann", "bob")), ChannelId(await town.channel("eve", "bob"))

    async def mention(channel: ChannelId, author: str, text: str, *users: str) -> MessageId:
        post = Post(text, mentions=[UserId(user) for user in users])
        (outcome,) = await town.do(town.command(channel, author, post))
        assert outcome.message
        return outcome.message

    async def page(user: str, limit: int = 50, cursor: str = "") -> rpc.ListMentionsResponse:
        request = rpc.ListMentionsRequest(caller=town.caller(user), page_size=limit, page_token=cursor)
        return await town.service.ListMentions(request, None)

    async def texts(user: str) -> list[str]:
        return [each.text for each in (await page(user)).messages]

    await mention(room, "ann", "one", "bob", "ann", "stranger")
    deleted = await mention(room, "ann", "two", "bob")
    await mention(other, "eve", "three", "bob")
    await mention(room, "ann", "four", "bob", "bob")
    await town.do(town.command(room, "ann", Post("five")))
    assert await texts("bob") == ["four", "three", "two", "one"]
    assert (await texts("ann"), await texts("eve"), await texts("stranger")) == (["one"], [], [])

    await town.do(town.command(room, "ann", Delete(deleted)))
    first = await page("bob", 3)
    second = await page("bob", 3, first.next_page_token)
    assert [[each.text for each in found.messages] for found in (first, second)] == [["four", "three"], ["one"]]
    assert not second.next_page_token
    await refused(page("bob", cursor="!"), InvalidArgument)

    removal = rpc.RemoveMemberRequest(caller=town.caller("bob"), channel=room, user="bob")
    await town.service.RemoveMember(removal, None)
    assert await texts("bob") == ["three"]
