"""Builds the search index of a volume store, and times searches: processor time of PostgreSQL for each.

The user who searches is a member of the 50 largest channels of the largest tenant. Words are drawn from the texts of the largest
of them, by how many messages have them.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from bench.volume.timing import backends_cpu, service_of
from bus.memory import MemoryBus
from chassis.postgres import EVERY_TENANT, Database, open_database
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.indexer import Indexer
from messages.search import indexed_by
from messages.service import MessagesService
from stack.postgres import DatabaseUrls

_GENERATION, _PARTITIONS = 1, 8
_TENANT, _SEARCHER, _CHANNELS = "tenant-0", "searcher", 50
"""The user who searches, and in how many channels they are: the largest of the tenant."""
_SAMPLE, _PREFIX = 50_000, 3
_COMMON, _MEDIUM = 100, (20, 60)
"""How many of the most frequent words are common; in how many messages of the sample a medium one is."""
_BEHIND = """
SELECT count(*), coalesce(sum(c.head - coalesce(p.seq, 0)), 0) FROM channels c
LEFT JOIN reader_positions p ON p.channel = c.id AND p.reader = %s WHERE c.head > coalesce(p.seq, 0)
"""
_LARGEST = "SELECT id::text FROM channels WHERE tenant = %s ORDER BY posts DESC LIMIT %s"
_ENTER = """
INSERT INTO users (tenant, id, name) VALUES (%(tenant)s, %(user)s, 'Searcher') ON CONFLICT DO NOTHING;
INSERT INTO members (channel, "user", tenant, role, joined_seq, read_seq)
SELECT unnest(%(channels)s::uuid[]), %(user)s, %(tenant)s, 'member', 1, 1 ON CONFLICT DO NOTHING
"""
_LEAVE = """
DELETE FROM members WHERE tenant = %(tenant)s AND "user" = %(user)s;
DELETE FROM users WHERE tenant = %(tenant)s AND id = %(user)s
"""
_TEXTS = "SELECT text FROM entries WHERE channel = %s AND kind = 1 AND text IS NOT NULL ORDER BY seq DESC LIMIT %s"


async def index(urls: DatabaseUrls) -> None:
    """Index everything that the index lacks, at full speed."""
    async with open_database(
        urls.service, sweeper_url=urls.sweeper, connections=4, walks=0, pipelines=0, name="index"
    ) as database:
        stopping = asyncio.Event()
        running = asyncio.create_task(Indexer(database, MemoryBus(), _PARTITIONS, "bench", backlog_share=1.0).run(stopping))
        began = time.monotonic()
        while (behind := await _behind(database))[0]:
            print(
                f"{behind[1]:,} entries of {behind[0]:,} channels are not indexed ({time.monotonic() - began:.0f} s)", flush=True
            )
            await asyncio.sleep(15)
        stopping.set()
        await running


async def _behind(database: Database) -> tuple[int, int]:
    async with database.connection(EVERY_TENANT) as connection:
        row: Any = await (await connection.execute(_BEHIND.encode(), [indexed_by(_GENERATION)])).fetchone()
    return int(row[0]), int(row[1])


async def time_searches(urls: DatabaseUrls, seed: int, rounds: int) -> None:
    """Time each kind of search, and print a table in Markdown."""
    dice = random.Random(seed)
    with psycopg.connect(urls.owner, autocommit=True, options=f"-c hubbub.tenants={{{_TENANT}}}") as connection:
        channels = [channel for (channel,) in connection.execute(_LARGEST, [_TENANT, _CHANNELS]).fetchall()]
        kinds = _queries([text for (text,) in connection.execute(_TEXTS, [channels[0], _SAMPLE]).fetchall()], dice, rounds)
        who = {"tenant": _TENANT, "user": _SEARCHER, "channels": channels}
        for statement in _ENTER.split(";"):
            connection.execute(statement.encode(), who)
        try:
            await _time(urls, kinds)
        finally:
            for statement in _LEAVE.split(";"):
                connection.execute(statement.encode(), who)


async def _time(urls: DatabaseUrls, kinds: Mapping[str, Sequence[str]]) -> None:
    print("| search | found | PostgreSQL, ms of CPU: median | 90 % | worst | this process |\n|---|---|---|---|---|---|")
    async with service_of(urls) as service:
        with psycopg.connect(urls.service, autocommit=True) as watch:
            for kind, asked in kinds.items():
                spent, own, found = [], time.process_time(), []
                for query in asked:
                    before = backends_cpu(watch)
                    found.append(len((await _search(service, query)).messages))
                    spent.append(backends_cpu(watch) - before)
                own = 1000 * (time.process_time() - own) / len(asked)
                tenths = statistics.quantiles(spent, n=10)
                figures = [statistics.median(found), tenths[4], tenths[8], max(spent), own]
                print(f"| {kind} | " + " | ".join(f"{each:.1f}" for each in figures) + " |", flush=True)


async def _search(service: MessagesService, query: str) -> rpc.SearchMessagesResponse:
    request = rpc.SearchMessagesRequest(caller=nouns.Caller(tenant=_TENANT, user=_SEARCHER), query=query)
    return await service.SearchMessages(request, None)


def _queries(texts: Sequence[str], dice: random.Random, count: int) -> dict[str, list[str]]:
    """Queries by kind, each of so many words."""
    frequent = Counter(word for text in texts for word in set(text.split()) if word.isalpha())
    common = [word for word, _ in frequent.most_common(_COMMON)]
    medium = [word for word, often in frequent.items() if _MEDIUM[0] <= often <= _MEDIUM[1]]
    rare = [word for text in texts for word in text.split() if word.startswith("ticket-")]

    def some(words: Sequence[str]) -> list[str]:
        return [f"{dice.choice(words)} " for _ in range(count)]  # a blank: the word is complete

    return {
        "a frequent word": some(common),
        "a medium word": some(medium),
        "a word of one message": some(rare),
        "a word of no message": [f"absent{number} " for number in range(count)],
        "a frequent and a rare word": [a + b for a, b in zip(some(common), some(rare), strict=True)],
        "two frequent words": [a + b for a, b in zip(some(common), some(common), strict=True)],
        "a beginning of a frequent word": [dice.choice(common)[:_PREFIX] for _ in range(count)],
        "a beginning of a medium word": [dice.choice(medium)[:_PREFIX] for _ in range(count)],
    }
