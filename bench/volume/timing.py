"""Times the reads behind the HTTP operations on a volume store: RPCs of the messages service, without gRPC and HTTP.

For each read: processor time of PostgreSQL and of this process, and the wall time, over users and channels that are drawn at
random, with the extremes among them: the largest channel, the most crowded one, and the busiest user.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bus.gateway_leases import MemoryGatewayLeases
from bus.memory import MemoryBus
from chassis.pipeline import Statement
from chassis.postgres import open_database
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.judgement import PLANNER_SETTINGS
from messages.publisher import Publisher
from messages.revocations import Revocations
from messages.service import MessagesService
from stack.postgres import DatabaseUrls

_PICKS = """
(SELECT tenant, "user", channel::text, 0 AS n FROM members WHERE tenant = 'tenant-0' AND "user" = 'u0'
 ORDER BY (SELECT posts FROM channels WHERE id = channel) DESC LIMIT 20)
UNION ALL (SELECT tenant, "user", channel::text, 1 FROM members
  WHERE channel IN (SELECT id FROM channels ORDER BY posts DESC LIMIT 1) LIMIT 20)
UNION ALL (SELECT tenant, "user", channel::text, 1 FROM members
  WHERE channel IN (SELECT channel FROM members GROUP BY 1 ORDER BY count(*) DESC LIMIT 1) LIMIT 20)
UNION ALL (SELECT tenant, "user", channel::text, 2 FROM members TABLESAMPLE SYSTEM (5) LIMIT 140)
"""
_THREAD = "SELECT thread::text FROM entries WHERE channel = %s AND thread IS NOT NULL LIMIT 1"
_PID = Statement("SELECT pg_backend_pid()")


@dataclass(frozen=True, slots=True)
class Pick:
    """A member of a channel, with what their reads ask for."""

    tenant: str
    user: str
    channel: str
    head: int
    thread: str

    @property
    def caller(self) -> nouns.Caller:
        """The member."""
        return nouns.Caller(tenant=self.tenant, user=self.user)

    @property
    def admin(self) -> nouns.Caller:
        """The member as an administrator."""
        return nouns.Caller(tenant=self.tenant, user=self.user, admin=True)


Call = Callable[[MessagesService, Pick], Awaitable[object]]


async def _catch_up(service: MessagesService, pick: Pick) -> None:
    positions = [rpc.Position(channel=pick.channel, seq=max(0, pick.head - 20))]
    async for _ in service.CatchUp(rpc.CatchUpRequest(caller=pick.caller, limit=1_000, positions=positions), None):
        pass


def _messages(before: int = 0, *, thread: bool = False, pinned: bool = False) -> Call:
    def call(service: MessagesService, pick: Pick) -> Awaitable[object]:
        request = rpc.ListMessagesRequest(caller=pick.caller, channel=pick.channel, page_size=50, before=before, pinned=pinned)
        if thread:
            request.thread = pick.thread
        return service.ListMessages(request, None)

    return call


READS: dict[str, Call] = {
    "GET channels": lambda s, p: s.ListChannels(rpc.ListChannelsRequest(caller=p.caller, page_size=50), None),
    "GET channels?joinable": lambda s, p: s.ListChannels(rpc.ListChannelsRequest(caller=p.caller, joinable=True), None),
    "GET channels/{id}": lambda s, p: s.GetChannel(rpc.GetChannelRequest(caller=p.caller, channel=p.channel), None),
    "GET members": lambda s, p: s.ListMembers(rpc.ListMembersRequest(caller=p.caller, channel=p.channel), None),
    "GET messages, newest": _messages(),
    "GET messages, oldest": _messages(before=200),
    "GET messages?thread": _messages(thread=True),
    "GET messages?pinned": _messages(pinned=True),
    "GET events": lambda s, p: s.ListEvents(rpc.ListEventsRequest(caller=p.caller, channel=p.channel, after=p.head // 2), None),
    "GET users": lambda s, p: s.ListUsers(rpc.ListUsersRequest(caller=p.caller), None),
    "GET users?q": lambda s, p: s.ListUsers(rpc.ListUsersRequest(caller=p.caller, query="mül"), None),
    "GET me/blocks": lambda s, p: s.ListBlockedPeers(rpc.ListBlockedPeersRequest(caller=p.caller), None),
    "GET me/mentions": lambda s, p: s.ListMentions(rpc.ListMentionsRequest(caller=p.caller), None),
    "GET me/invitations": lambda s, p: s.ListInvitations(rpc.ListInvitationsRequest(caller=p.caller), None),
    "GET admin/audit": lambda s, p: s.ListAudit(rpc.ListAuditRequest(caller=p.admin), None),
    "GET admin/reports": lambda s, p: s.ListReports(rpc.ListReportsRequest(caller=p.admin), None),
    "socket: session": lambda s, p: s.OpenSessions(
        rpc.OpenSessionsRequest(sessions=[rpc.AdmitUserRequest(caller=p.caller)]), None
    ),
    "socket: resume 20": _catch_up,
}


async def time_reads(urls: DatabaseUrls, seed: int, rounds: int) -> None:
    """Time each read, and print a table in Markdown."""
    dice = random.Random(seed)
    picks = _picks(urls.sweeper)
    dice.shuffle(picks)
    print("| read | PostgreSQL, ms of CPU | this process, ms of CPU | p50, ms | p99, ms |\n|---|---|---|---|---|")
    async with service_of(urls) as service:
        for name, call in READS.items():
            for pick in picks[:10]:
                await call(service, pick)
            with psycopg.connect(urls.service, autocommit=True) as watch:
                before, own = backends_cpu(watch), time.process_time()
                walls = []
                for pick in picks * rounds:
                    started = time.perf_counter()
                    await call(service, pick)
                    walls.append(1000 * (time.perf_counter() - started))
                spent, own = backends_cpu(watch) - before, 1000 * (time.process_time() - own)
            p99 = statistics.quantiles(walls, n=100)[98]
            print(
                f"| {name} | {spent / len(walls):.2f} | {own / len(walls):.2f} | {statistics.median(walls):.1f} | {p99:.1f} |",
                flush=True,
            )


@contextlib.asynccontextmanager
async def service_of(urls: DatabaseUrls) -> AsyncIterator[MessagesService]:
    """The messages service on the store, without a bus."""
    publisher = Publisher(MemoryBus(), 1)
    async with open_database(
        urls.service,
        sweeper_url=urls.sweeper,
        connections=2,
        walks=2,
        pipelines=1,
        pipeline_settings=PLANNER_SETTINGS,
        name="volume",
    ) as database:
        await database.pipeline(["tenant-0"], [_PID.query({})])
        yield MessagesService(database, publisher, Revocations(publisher, MemoryGatewayLeases(time.monotonic)))


def _picks(sweeper: str) -> list[Pick]:
    with psycopg.connect(sweeper, options="-c hubbub.tenants={*}") as connection:
        found = connection.execute(_PICKS).fetchall()
        picks = []
        for tenant, user, channel, _ in found:
            head = connection.execute("SELECT head FROM channels WHERE id = %s", [channel]).fetchone()
            thread = connection.execute(_THREAD, [channel]).fetchone()
            picks.append(Pick(tenant, user, channel, head[0] if head else 0, thread[0] if thread else channel))
    return picks


def backends_cpu(watch: psycopg.Connection) -> float:
    """Milliseconds of processor time of this role's server processes, without the one that is asked."""
    query = "SELECT pid FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()"
    pids = [pid for (pid,) in watch.execute(query).fetchall()]
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e6
