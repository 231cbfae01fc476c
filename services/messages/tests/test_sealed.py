"""Sealed content: stored and delivered as it came, and read by nothing on the server."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from chassis.errors import InvalidArgument, KeyReused, TooLarge
from chassis.postgres import EVERY_TENANT
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import validate
from services.messages.tests.conftest import Listener, Town, refused

SEALED = b"\x00\xff sealed"
IN_JSON = base64.b64encode(SEALED).decode()


async def seal(town: Town, channel: str, content: bytes = SEALED, key: str = "") -> rpc.PostMessageResponse:
    message = events.PostMessage(sealed=content)
    return await town.service.PostMessage(
        rpc.PostMessageRequest(caller=town.caller("ann"), channel=channel, key=key, message=message), None
    )


async def payloads(town: Town, channel: str) -> list[Any]:
    return [json.loads(event.payload)["data"] for event in await town.log(channel, after=1)]


async def listed(town: Town, channel: str) -> list[Any]:
    found = await town.service.ListMessages(rpc.ListMessagesRequest(caller=town.caller("ann"), channel=channel), None)
    return list(found.messages)


async def test_a_sealed_message_has_the_same_event_live_and_from_the_log_and_no_text(town: Town) -> None:
    channel = await town.channel("ann")
    command = town.bus_command(channel, "ann", post=events.PostMessage(sealed=SEALED))
    async with town.bus.follow(town.event_topics()) as feed, town.working():
        listener = Listener(feed)
        await town.send(command)
        await listener.until(lambda heard: bool(heard.events))
    assert json.loads(listener.events[0].payload)["data"] == (await payloads(town, channel))[-1]
    assert (await payloads(town, channel))[-1] | {"message": None} == {
        "message": None, "key": command.key, "text": None, "thread": None, "attachments": [], "mentions": [], "sealed": IN_JSON
    }  # fmt: skip
    (message,) = await listed(town, channel)
    assert (message.WhichOneof("content"), message.sealed, message.deleted) == ("sealed", SEALED, False)


async def test_an_edit_replaces_one_kind_of_content_by_the_other(town: Town) -> None:
    channel = await town.channel("ann")
    message = (await town.post(channel, "ann", "readable")).message
    request = rpc.EditMessageRequest(caller=town.caller("ann"), channel=channel, message=message)
    request.sealed = SEALED
    await town.service.EditMessage(request, None)
    assert (await payloads(town, channel))[-1] == {"message": message, "text": None, "sealed": IN_JSON}
    assert [(each.WhichOneof("content"), each.sealed) for each in await listed(town, channel)] == [("sealed", SEALED)]
    request.text = "readable again"
    await town.service.EditMessage(request, None)
    assert (await payloads(town, channel))[-1] == {"message": message, "text": "readable again"}
    assert [(each.WhichOneof("content"), each.text) for each in await listed(town, channel)] == [("text", "readable again")]


async def test_a_deletion_erases_sealed_content_from_every_row(town: Town) -> None:
    channel = await town.channel("ann")
    message = (await seal(town, channel)).message
    request = rpc.EditMessageRequest(caller=town.caller("ann"), channel=channel, message=message, sealed=SEALED + b" 2")
    await town.service.EditMessage(request, None)
    await town.service.DeleteMessage(rpc.DeleteMessageRequest(caller=town.caller("ann"), channel=channel, message=message), None)
    assert IN_JSON not in json.dumps(await payloads(town, channel))
    async with town.database.connection(EVERY_TENANT) as connection:
        for table in ("entries", "changes"):
            query = f"SELECT count(*) FROM {table} WHERE channel = %s AND sealed IS NOT NULL"
            assert await (await connection.execute(query.encode(), [channel])).fetchone() == (0,)


async def test_search_finds_no_sealed_message_and_a_report_keeps_no_copy(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    message = (await seal(town, channel, b"findable words")).message
    search = rpc.SearchMessagesRequest(caller=town.caller("ann"), query="findable")
    assert not (await town.service.SearchMessages(search, None)).messages
    await town.post(channel, "bob", "x")
    report = rpc.ReportMessageRequest(caller=town.caller("bob"), channel=channel, message=message, reason="rude")
    await town.service.ReportMessage(report, None)
    (found,) = (await town.service.ListReports(rpc.ListReportsRequest(caller=town.caller("bob", admin=True)), None)).reports
    assert (found.text, found.context[0].sealed) == ("", b"findable words")


async def test_a_key_distinguishes_sealed_content_as_it_does_texts(town: Town) -> None:
    channel = await town.channel("ann")
    first = await seal(town, channel, key="k")
    assert (await seal(town, channel, key="k")).seq == first.seq
    await refused(seal(town, channel, SEALED + b"!", key="k"), KeyReused)
    await refused(town.post(channel, "ann", IN_JSON, key="k"), KeyReused)


@pytest.mark.parametrize(
    ("content", "error"), [(b"", InvalidArgument), (bytes(validate.SEALED_BYTES + 1), TooLarge)], ids=["empty", "too large"]
)
async def test_sealed_content_is_neither_empty_nor_larger_than_its_limit(
    town: Town, content: bytes, error: type[InvalidArgument | TooLarge]
) -> None:
    channel = await town.channel("ann")
    await refused(seal(town, channel, content), error)
    assert (await seal(town, channel, bytes(validate.SEALED_BYTES))).seq


async def test_a_preview_leaves_out_sealed_content_that_it_would_have_to_cut(town: Town) -> None:
    channel = await town.channel("ann")
    for content, shown in ((bytes(1_024), bytes(1_024)), (bytes(1_025), b"")):
        await seal(town, channel, content)
        found = await town.service.GetChannel(rpc.GetChannelRequest(caller=town.caller("ann"), channel=channel), None)
        last = found.channel.last_message
        assert (last.WhichOneof("content"), last.sealed, last.truncated) == ("sealed", shown, not shown)
