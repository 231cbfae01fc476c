"""`kill -9` of any process while two users chat: they continue within seconds, and no acknowledged message is lost."""

import asyncio
import random
import time
from functools import partial

import pytest

from tests.client import Api
from tests.faults import library
from tests.faults.checker import check
from tests.faults.crowd import reader
from tests.faults.record import Acked, Entry, Reading, Record
from tests.faults.workload import NO_ANSWER, Writer
from tests.flow.world import World, eventually

PROCESSES = [
    "gateway-0",
    "gateway-1",
    "messages-worker-0",
    "messages-worker-1",
    "messages-search",
    "messages-feed",
    "messages-api",
    "presence",
    "media",
    "integrations",
    "valkey",
    "postgres",
    "objects",
]
SECONDS = 20.0
"""Until each has posted and has received the other's post."""


class Chat:
    """Two users who write and read over both gateways, and the record of it."""

    def __init__(self, world: World, people: list[Api], room: str) -> None:
        self.record = Record(sync_events=0)
        self.stopping = asyncio.Event()
        self.writers = []
        for number, api in enumerate(people):
            dice = random.Random(number)
            self.writers.append(Writer(api, library.turns(world.urls, number), [room], self.record, dice, self.stopping))
        ann, bob = people
        self.readers = [reader(0, ann, world.urls, self.record), reader(1, bob, world.urls, self.record)]

    async def gone_on(self, since: float) -> bool:
        """Whether each has received a post that the other sent after `since` and that was acknowledged."""
        return all(self._heard(reading, since) for reading in self.record.readings)

    def _heard(self, reading: Reading, since: float) -> bool:
        fresh = {
            one.key
            for one in self.record.attempts
            if one.user != reading.user and one.began > since and isinstance(one.outcome, Acked)
        }
        seen = (sight.entry.data.get("key") for stretch in reading.stretches for sight in stretch.sights)
        return not fresh.isdisjoint(seen)


async def serves(api: Api) -> bool:
    """Whether a gateway answers a request that needs the services behind it."""
    try:
        return (await api.call("GET", "/v1/channels")).status == 200
    except NO_ANSWER:
        return False


@pytest.mark.parametrize("name", PROCESSES)
async def test_two_users_continue_to_chat_when_a_process_is_killed(world: World, name: str) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    chat = Chat(world, [ann, bob], room)
    async with asyncio.TaskGroup() as lives:
        writing = [lives.create_task(writer.run()) for writer in chat.writers]
        reading = [lives.create_task(one.follower.run()) for one in chat.readers]
        await eventually(lambda: chat.gone_on(0.0))

        killed = time.monotonic()
        pid = world.stack.kill(name)
        await eventually(lambda: chat.gone_on(killed), within=SECONDS)
        await world.stack.started(name, after=pid)
        chat.stopping.set()
        await asyncio.wait(writing, timeout=SECONDS)
        for api in (ann, world.elsewhere(ann)):
            await eventually(partial(serves, api), within=SECONDS)
        head = (await ann.log(room))[-1]["seq"]
        for one in chat.readers:
            assert await one.follower.reach({room: head}, within=SECONDS)
        for read in chat.record.readings:
            read.settled = True
        for task in reading:
            task.cancel()
    assert check(chat.record, {room: [Entry.of(item) for item in await ann.log(room)]}) == []
