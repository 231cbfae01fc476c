"""Search over the service's interface: whose messages are found, changes, paging, rebuilding, and an index that is behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from chassis.errors import InvalidArgument, NotFound
from chassis.postgres import EVERY_TENANT
from chassis.reader_store import ReaderStore
from hubbub.events.v1 import events_pb2 as events
from hubbub.events.v1.events_pb2 import Event, EventKind
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import indexer
from messages.commands.model import Delete, Edit, Post
from messages.indexer import Indexer
from messages.message import Attachment, ChannelId, MessageId, TenantId, UserId
from messages.search import Changes, Document, Wanted
from messages.store import search
from messages.store.search import PostgresSearch
from services.messages.tests.conftest import PARTITIONS, Town, denied, refused, until


async def test_words_are_found_in_the_callers_channels_newest_first(town: Town) -> None:
    mine, other = await town.channel("ann", "bob"), await town.channel("cat")
    async with town.indexing():
        for text in ("green tea", "black tea", "green coffee"):
            await town.post(mine, "ann", text)
        await town.post(mine, "bob", "tea?")
        await town.post(other, "cat", "secret tea")
        assert await town.find("bob", "tea") == ["tea?", "black tea", "green tea"]
        assert await town.find("bob", "GREEN tea") == ["green tea"]
        assert await town.find("bob", "tea", sender="ann", channel=mine) == ["black tea", "green tea"]
        assert await town.find("bob", "gree -tea") == []
        assert await town.find("bob", "-tea gree") == ["green coffee"]
        assert await town.find("dan", "tea") == []
        await refused(town.find("bob", "tea", channel=other), NotFound)
        await refused(town.find("bob", " "), InvalidArgument)
        assert not await town.find("bob", "'); DROP TABLE messages; --")


async def test_a_message_is_found_as_soon_as_it_is_posted(town: Town) -> None:
    room = await town.channel("ann", "bob")
    async with town.indexing():
        for n in range(20):
            await town.post(room, "ann", f"number{n}")
            response = await town.service.SearchMessages(
                rpc.SearchMessagesRequest(caller=town.caller("bob"), query=f"number{n}"), None
            )
            assert [each.text for each in response.messages] == [f"number{n}"]
            assert not response.incomplete


async def test_pages_follow_each_other_in_the_order_of_time_and_repeat_nothing(town: Town) -> None:
    rooms = [await town.channel("ann", "bob") for _ in range(3)]
    async with town.indexing():
        for n in range(30):
            await town.post(rooms[n % 3], "ann", f"word {n}")
        seen: list[str] = []
        token = ""
        while True:
            request = rpc.SearchMessagesRequest(caller=town.caller("bob"), query="word", page_size=7, page_token=token)
            page = await town.service.SearchMessages(request, None)
            seen += [message.text for message in page.messages]
            token = page.next_page_token
            if not token:
                break
        assert seen == [f"word {n}" for n in reversed(range(30))]


async def test_an_edit_and_a_deletion_are_followed(town: Town) -> None:
    room = await town.channel("ann", "bob")
    async with town.indexing():
        message = MessageId((await town.post(room, "ann", "first words")).message)
        await town.service.EditMessage(
            rpc.EditMessageRequest(caller=town.caller("ann"), channel=room, message=message, text="second thoughts"), None
        )
        assert await town.find("bob", "first") == []
        assert await town.find("bob", "thought") == ["second thoughts"]
        await town.service.DeleteMessage(rpc.DeleteMessageRequest(caller=town.caller("ann"), channel=room, message=message), None)
        assert await town.find("bob", "thought") == []
        async with town.database.connection(EVERY_TENANT) as connection:
            slices = await search._slices(connection, await search.serving(connection))  # noqa: SLF001
            for each in slices:
                row: Any = await (
                    await connection.execute(
                        psycopg.sql.SQL("SELECT count(*) FROM {} WHERE message = %s").format(psycopg.sql.Identifier(each.name)),
                        [message],
                    )
                ).fetchone()
                assert row == (0,)


async def test_the_name_of_an_attachment_is_found_also_after_an_edit(town: Town) -> None:
    room = await town.channel("ann")
    file = Attachment(str(uuid.uuid4()), "QuarterlyReport_2026.pdf", 1, "application/pdf")
    async with town.indexing():
        (posted,) = await town.do(town.command(room, "ann", Post("see this", attachments=[file])))
        await town.publisher.publish_stored(town.stored[-1])
        assert await town.find("ann", "report") == ["see this"]
        assert posted.message
        await town.do(town.command(room, "ann", Edit(MessageId(posted.message), "look here")))
        await town.publisher.publish_stored(town.stored[-1])
        assert await town.find("ann", "quarterly 2026 look") == ["look here"]


async def test_who_leaves_finds_nothing_more_and_who_joins_finds_what_they_may_read(town: Town) -> None:
    joined, whole = await town.channel("ann", history="joined"), await town.channel("ann")
    await town.people("bob")
    async with town.indexing():
        await town.post(joined, "ann", "early words")
        await town.post(whole, "ann", "whole words")
        assert await town.find("bob", "words") == []
        for room in (joined, whole):
            add = rpc.AddMembersRequest(caller=town.caller("ann"), channel=room, users=["bob"])
            await town.service.AddMembers(add, None)
        await town.post(joined, "ann", "late words")
        assert await town.find("bob", "words") == ["late words", "whole words"]
        for room in (joined, whole):
            removal = rpc.RemoveMemberRequest(caller=town.caller("ann"), channel=room, user="bob")
            await town.service.RemoveMember(removal, None)
        assert await town.find("bob", "words") == []
        assert len(await town.find("ann", "words")) == 3


async def test_a_channel_with_hidden_history_does_not_hide_older_messages_of_others(town: Town) -> None:
    hidden, shared = await town.channel("ann", history="joined"), await town.channel("ann", "bob")
    async with town.indexing():
        await town.post(shared, "ann", "a needle")
        await town.do(*(town.command(hidden, "ann", Post(f"needle {n}")) for n in range(60)))
        await town.publisher.publish_stored(town.stored[-1])
        add = rpc.AddMembersRequest(caller=town.caller("ann"), channel=hidden, users=["bob"])
        await town.service.AddMembers(add, None)
        assert await town.find("bob", "needle", page_size=5) == ["a needle"]


async def test_nothing_of_another_tenant_is_found(town: Town) -> None:
    room = await town.channel("ann")
    other = f"t-{uuid.uuid4().hex}"
    await town.people("ann", tenant=other)
    async with town.indexing():
        await town.post(room, "ann", "classified")
        request = rpc.SearchMessagesRequest(caller=town.caller("ann", tenant=other), query="classified")
        assert not (await town.service.SearchMessages(request, None)).messages
        assert await town.find("ann", "classified") == ["classified"]


async def test_what_an_erased_user_posted_leaves_the_index_and_no_namesake_of_another_tenant_does(town: Town) -> None:
    room, other = await town.channel("ann", "bob"), f"t-{uuid.uuid4().hex}"
    await town.people("ann", tenant=other)
    kind = nouns.ChannelKind.CHANNEL_KIND_GROUP
    creation = rpc.CreateChannelRequest(caller=town.caller("ann", tenant=other), kind=kind, name="room")
    foreign = (await town.service.CreateChannel(creation, None)).channel.id
    async with town.indexing():
        for each in ("one", "two"):
            await town.post(room, "ann", f"needle {each}")
        await town.post(room, "bob", "needle three")
        posted = events.PostMessage(text="needle four")
        await town.service.PostMessage(
            rpc.PostMessageRequest(caller=town.caller("ann", tenant=other), channel=foreign, message=posted), None
        )
        assert len(await town.find("bob", "needle")) == 3
        await search.erase(town.database, TenantId(town.tenant), UserId("ann"))
        assert await town.find("bob", "needle") == ["needle three"]
        request = rpc.SearchMessagesRequest(caller=town.caller("ann", tenant=other), query="needle")
        assert len((await town.service.SearchMessages(request, None)).messages) == 1


async def test_a_message_that_the_index_still_has_is_not_shown_once_it_is_deleted(town: Town) -> None:
    room = await town.channel("ann")
    async with town.indexing():
        message = MessageId((await town.post(room, "ann", "stale words")).message)
        assert await town.find("ann", "stale") == ["stale words"]
    await town.do(town.command(room, "ann", Delete(message)))
    assert await town.find("ann", "stale") == []


async def test_an_index_that_is_behind_says_so(town: Town) -> None:
    room = await town.channel("ann")

    async def incomplete() -> bool:
        request = rpc.SearchMessagesRequest(caller=town.caller("ann"), query="words")
        return (await town.service.SearchMessages(request, None)).incomplete

    async with town.indexing():
        await town.post(room, "ann", "words")
        assert not await incomplete()
    await town.post(room, "ann", "more words")
    assert await incomplete()
    async with town.indexing():
        assert not await incomplete()


async def test_the_service_cannot_write_the_index(town: Town) -> None:
    async with town.indexing(), town.database.connection(EVERY_TENANT) as connection:
        (newest, *_) = await search._slices(connection, await search.serving(connection))  # noqa: SLF001
    for statement in ("DELETE FROM {}", "UPDATE {} SET seq = 0"):
        with denied():
            async with town.database.connection([town.tenant]) as connection:
                await connection.execute(psycopg.sql.SQL(statement).format(psycopg.sql.Identifier(newest.name)))
    with denied():
        async with town.database.connection([town.tenant]) as connection:
            await connection.execute("SELECT search_drop_generation(1)")


@pytest.mark.parametrize("text", [None, ""])
def test_a_message_without_readable_text_is_not_indexed_by_its_files(text: str | None) -> None:
    payload = b'{"data": {"text": %s, "attachments": [{"name": "a.pdf"}]}}' % (b"null" if text is None else b'""')
    document = indexer.posted(Event(channel=str(uuid.uuid4()), seq=1, kind=EventKind.EVENT_KIND_MESSAGE_POSTED, payload=payload))
    assert (document is None) is (text is None)


# Slices.


@contextlib.asynccontextmanager
async def generation(town: Town, slice_messages: int) -> AsyncIterator[int]:
    """A generation of the index with small slices, which no process fills."""
    async with town.database.connection(EVERY_TENANT) as connection:
        number = await search.begin_generation(connection)
    await search.lay_out(town.database, number, slice_messages)
    yield number
    async with town.database.transaction(EVERY_TENANT) as connection:
        await search.drop_generation(connection, number)


async def test_messages_in_many_slices_are_found_in_order_and_changed_in_their_own(own_town: Town) -> None:
    room = ChannelId(str(uuid.uuid4()))
    ids = [MessageId(f"0190a0a0-0000-7000-8000-{n:012x}") for n in range(100)]

    def document(n: int, text: str) -> Document:
        return Document(ids[n], room, n + 1, UserId("ann"), [text])

    async with generation(own_town, 10) as number:
        index = PostgresSearch(number)
        for start in range(0, 100, 5):
            await search.lay_out(own_town.database, number, 10)
            async with own_town.database.transaction(EVERY_TENANT) as connection:
                batch = [document(n, f"word {'odd' if n % 2 else 'even'}") for n in range(start, start + 5)]
                await index.apply(connection, Changes(batch, []))
        async with own_town.database.transaction(EVERY_TENANT) as connection:
            assert len(await search._slices(connection, number)) >= 9  # noqa: SLF001
            await index.apply(connection, Changes([document(3, "word even"), document(99, "changed")], [ids[50]]))
        async with own_town.database.connection(EVERY_TENANT) as connection:

            async def find(query: str, before: int | None = None, limit: int = 1_000, floor: int = 0) -> list[int]:
                wanted = Wanted(query, None, {room: floor}, None if before is None else ids[before], limit)
                return [hit.seq - 1 for hit in await index.find(connection, wanted)]

            everything = [n for n in reversed(range(100)) if n not in {50, 99}]
            assert await find("word") == everything
            assert await find("even", limit=3) == [98, 96, 94]
            assert await find("even", before=10) == [8, 6, 4, 3, 2, 0]
            assert await find("word", floor=95) == [98, 97, 96, 95]
            assert await find("changed") == [99]
            assert await find("nothing") == []


async def test_slices_of_an_index_that_is_built_again_are_of_equal_size(own_town: Town) -> None:
    room = await own_town.channel("ann")
    for _ in range(10):
        await own_town.do(*(own_town.command(room, "ann", Post("a word")) for _ in range(500)))
    async with await psycopg.AsyncConnection.connect(own_town.url, autocommit=True) as owner:
        await owner.execute("ANALYZE entries")
    async with generation(own_town, 500) as number, own_town.database.connection(EVERY_TENANT) as connection:
        assert 5 <= len(await search._slices(connection, number)) <= 12  # noqa: SLF001


# Rebuilding and restarts.


async def until_served(town: Town, number: int) -> None:
    async with town.database.connection(EVERY_TENANT) as connection:

        async def serves() -> bool:
            return await search.serving(connection) >= number

        await until(serves)


async def until_found(town: Town, query: str, count: int) -> None:
    async def found() -> bool:
        return len(await town.find("ann", query, page_size=200)) == count

    await until(found)


async def test_the_index_is_built_again_while_it_serves_and_people_write(own_town: Town) -> None:
    town = own_town
    room = await town.channel("ann", "bob")
    async with town.indexing():
        messages = [MessageId((await town.post(room, "ann", f"old {n}")).message) for n in range(20)]
        async with town.database.connection(EVERY_TENANT) as connection:
            number = await search.begin_generation(connection)
        built = asyncio.create_task(until_served(town, number))
        n = 0
        while not built.done():
            await town.post(room, "ann", f"new {n}")
            if n < 5:
                deletion = rpc.DeleteMessageRequest(caller=town.caller("ann"), channel=room, message=messages[n])
                await town.service.DeleteMessage(deletion, None)
            assert len(await town.find("bob", "old", page_size=200)) == 20 - min(n + 1, 5)
            n += 1
        await built
        assert await town.find("bob", "old", page_size=200) == [f"old {n}" for n in reversed(range(5, 20))]
        assert len(await town.find("bob", "new", page_size=200)) == min(n, 200)


async def test_the_command_builds_the_index_anew_and_ends_when_it_answers_searches(own_town: Town) -> None:
    town = own_town
    room = await town.channel("ann")
    environment = {**os.environ, "HUBBUB_MESSAGES_DATABASE_URL": town.url, "HUBBUB_BUS_URL": "memory://", "HUBBUB_ENV": "local"}
    async with town.indexing():
        await town.post(room, "ann", "a needle")
        command = (sys.executable, "-m", "messages", "search", "rebuild")
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
        assert process.returncode == 0
        assert b"Generation 2 answers searches." in output
        assert await town.find("ann", "needle") == ["a needle"]


async def test_a_rebuild_that_is_under_way_is_not_begun_again(own_town: Town) -> None:
    async with own_town.database.connection(EVERY_TENANT) as connection:
        assert [await search.begin_generation(connection) for _ in range(3)] == [2, 2, 2]
        await search.serve(connection, 2)
        assert await search.begin_generation(connection) == 3


async def test_a_generation_that_no_search_uses_is_dropped_with_its_positions(own_town: Town) -> None:
    town = own_town
    await town.channel("ann")
    async with town.indexing():
        async with town.database.connection(EVERY_TENANT) as connection:
            number = await search.begin_generation(connection)
        await until_served(town, number)
        async with town.database.connection(EVERY_TENANT) as connection:
            await connection.execute("UPDATE search_generations SET served_at = now() - interval '1 hour' WHERE serving")
        async with town.database.connection(EVERY_TENANT) as connection:

            async def dropped() -> bool:
                return set(await search.generations(connection)) == {number}

            await until(dropped)
            left: Any = await (await connection.execute("SELECT DISTINCT reader FROM reader_cursors")).fetchall()
            tables: Any = await (
                await connection.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'search\\_1\\_%' AND relkind = 'r'")
            ).fetchone()
        assert left == [(f"search.{number}",)]
        assert tables == (0,)


async def test_a_process_killed_between_effect_and_commit_leaves_an_index_without_gaps(
    own_town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = own_town
    room = await town.channel("ann")
    died = 0
    advance = ReaderStore.advance

    async def dies(self: ReaderStore, connection: Any, channels: Any, cursors: Any) -> None:
        nonlocal died
        await advance(self, connection, channels, cursors)
        if channels and died < 3:
            died += 1
            raise ConnectionResetError

    monkeypatch.setattr(ReaderStore, "advance", dies)
    async with town.indexing():
        for n in range(10):
            await town.post(room, "ann", f"word {n}")
        await until_found(town, "word", 10)
        assert died == 3


async def test_two_processes_index_together(own_town: Town) -> None:
    town = own_town
    rooms = [await town.channel("ann") for _ in range(8)]
    stopping = asyncio.Event()
    async with town.indexing(), asyncio.TaskGroup() as tasks:
        tasks.create_task(Indexer(town.database, town.bus, PARTITIONS, "other").run(stopping))
        for n in range(5):
            for room in rooms:
                await town.post(room, "ann", f"word {n}")
        await until_found(town, "word", 40)
        stopping.set()
