"""Injects random faults from a seed, one or two at a time, and waits until everything serves again before the next.

Each fault is a function of the run; `FAULTS` lists them by name. `checker` judges the consequences.
"""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
import redis.asyncio

from stack import Stack
from stack.postgres import Postgres
from stack.replica import Pair
from tests.client import Follower, Socket
from tests.faults import ruin
from tests.faults.crowd import Crowd
from tests.faults.record import Promotion

_SERVED_SECONDS = 60.0
_REST = (0.05, 0.25)
"""Pause between two faults, as a share of the longest pause."""
_RETRY_SECONDS = 0.1
_END_OTHER_SESSIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = CURRENT_USER AND pid <> pg_backend_pid()"
)
_DOUBLE_TROUBLE = 0.25
"""Probability that two faults come together."""
_STORES = ("postgres", "valkey", "objects")
FAIL_OVER = "fail PostgreSQL over"
GO_BACK = "promote a standby that lost the last seconds"
WITH_A_STANDBY = frozenset({FAIL_OVER, GO_BACK})
"""Faults that need a database with a standby."""
_STATE = "SELECT (SELECT id || '-' || left(pg_walfile_name(pg_current_wal_lsn()), 8) FROM epoch), id::text, head FROM channels"


@dataclass(slots=True)
class Nemesis:
    """The faults of one run."""

    stack: Stack
    crowd: Crowd
    dice: random.Random
    longest_pause_seconds: float = 20.0
    """Longest time for which anything is stopped, stalled or cut off."""
    say: Callable[[str], None] = lambda _: None
    """Called with every fault as it begins."""
    pair: Pair | None = None
    """The database servers, if there is a standby that can take over."""
    _replication: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the pair is not complete."""

    async def run(self, faults: Sequence[str], seconds: float) -> None:
        """Inject `faults` in random order, repeatedly, for about `seconds`; everything serves again at the end."""
        until = time.monotonic() + seconds
        bag: list[str] = []
        while faults and time.monotonic() < until:
            together = 2 if self.dice.random() < _DOUBLE_TROUBLE else 1
            while len(bag) < together:
                bag = self.dice.sample(list(faults), len(faults)) + bag
            await asyncio.gather(*(self.inflict(bag.pop()) for _ in range(together)))
            await asyncio.sleep(self.dice.uniform(*_REST) * self.longest_pause_seconds)
        await asyncio.sleep(max(0.0, until - time.monotonic()))

    async def inflict(self, fault: str) -> None:
        """Inject one fault and wait until everything serves again. Raises NotReadyError if a process does not."""
        began = time.monotonic()
        self.crowd.record.faults.append(fault)
        self.say(fault)
        await FAULTS[fault](self)
        await self.healed()
        self.say(f"{fault}: everything serves again after {time.monotonic() - began:.1f} s")

    async def healed(self) -> None:
        """Return when every process serves."""
        served = [name for name in self.stack.pids if name not in _STORES]
        await asyncio.gather(*(self.stack.serving(name, timeout_seconds=_SERVED_SECONDS) for name in served))

    async def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End a process; the supervisor starts it again."""
        with contextlib.suppress(ProcessLookupError):  # another fault has just ended it
            pid = self.stack.kill(name, number)
            await self.stack.started(name, after=pid)

    async def pause(self, name: str, meanwhile: Callable[[], Awaitable[object]] | None = None) -> None:
        """Pause a process, and let it continue beside the process that replaced it."""
        with contextlib.suppress(ProcessLookupError):
            self.stack.kill(name, signal.SIGSTOP)
            try:
                await asyncio.sleep(self._while())
                if meanwhile is not None:
                    await meanwhile()
            finally:
                self.stack.kill(name, signal.SIGCONT)

    def one(self, prefix: str) -> str:
        """Return the name of one of the processes of a kind."""
        return self.dice.choice(sorted(name for name in self.stack.pids if name.startswith(prefix)))

    async def ruin(self, act: ruin.Act) -> None:
        """Change the bus's data; retry if another fault has just stopped the bus."""
        while True:
            try:
                async with redis.asyncio.from_url(str(self.stack.endpoints["HUBBUB_BUS_URL"]), socket_timeout=5) as bus:
                    await act(bus, self.dice)
            except redis.RedisError:
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def fill(self) -> None:
        """The bus is out of memory for a while: it answers but accepts nothing new."""
        await self.ruin(ruin.full)
        try:
            await asyncio.sleep(self._while())
        finally:
            await self.ruin(ruin.room)

    async def poison(self) -> None:
        """Publish entries that cannot be read or cannot be executed to every topic."""
        await self.ruin(ruin.poison(self.crowd.channels, self.crowd.owner.user))

    async def end_postgres(self, number: signal.Signals) -> None:
        """Kill PostgreSQL; the supervisor restarts it."""
        if self.pair is None:
            await self.kill("postgres", number)
            return
        async with self._replication:
            await self.pair.restart(number)

    async def fail_over(self) -> None:
        """Kill PostgreSQL; its standby takes over."""
        async with self._replication:
            await self._promote()

    async def go_back(self) -> None:
        """Kill PostgreSQL; a standby that lacks the last seconds of commits takes over."""
        assert self.pair is not None
        async with self._replication:
            await self.pair.fall_behind()
            await asyncio.sleep(self._while())
            await self._promote()

    async def _promote(self) -> None:
        assert self.pair is not None
        found: list[tuple[str, str, int]] = []

        async def look(server: Postgres) -> None:
            database = str(self.stack.endpoints["HUBBUB_MESSAGES_DATABASE_URL"]).rpartition("/")[2]
            async with await psycopg.AsyncConnection.connect(server.url(database, "postgres")) as connection:
                found.extend(await (await connection.execute(_STATE)).fetchall())

        await self.pair.fail_over(look)
        heads = {channel: head for _, channel, head in found}
        self.crowd.record.promotions.append(Promotion(time.monotonic(), found[0][0], heads))
        await self.pair.add_standby()

    async def read_only(self) -> None:
        """The messages database accepts no writes for a while, as if its disk were full or it were a replica."""
        await self._on_the_database("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on")
        try:
            await asyncio.sleep(self._while())
        finally:
            await self._on_the_database("ALTER ROLE CURRENT_USER RESET default_transaction_read_only")

    async def stall(self) -> None:
        """A reader stops reading for a while."""
        socket = self._socket()
        if socket is not None:
            async with socket.deaf():
                await asyncio.sleep(self._while())

    async def cut_off(self) -> None:
        """A reader's connection loses all bytes for a while, and neither end notices."""
        self.crowd.blackhole.open.clear()
        await asyncio.sleep(self._while())
        self.crowd.blackhole.open.set()

    async def drop(self) -> None:
        """A reader's connection breaks."""
        socket = self._socket()
        if socket is not None:
            await socket.drop()

    async def unbalance(self) -> None:
        """Every connection of the stock Socket.IO clients breaks."""
        self.crowd.balancer.drop()

    def _socket(self) -> Socket | None:
        """The open connection of a reader that shows it: the Python client does not."""
        shown = [reader.follower for reader in self.crowd.readers if isinstance(reader.follower, Follower)]
        return self.dice.choice(shown).socket

    def _while(self) -> float:
        return self.dice.uniform(0.1, 1.0) * self.longest_pause_seconds

    async def _on_the_database(self, statement: str) -> None:
        """Change a setting of the messages service's role and end its sessions, since only new sessions read it."""
        url, options = str(self.stack.endpoints["HUBBUB_MESSAGES_DATABASE_URL"]), "-c default_transaction_read_only=off"
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(url, autocommit=True, options=options, connect_timeout=5) as one:
                    await one.execute(statement)
                    await one.execute(_END_OTHER_SESSIONS)
            except psycopg.OperationalError:
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return


FAULTS: Mapping[str, Callable[[Nemesis], Awaitable[None]]] = {
    "kill a gateway": lambda it: it.kill(it.one("gateway")),
    "kill a worker": lambda it: it.kill(it.one("messages-worker")),
    "kill the api": lambda it: it.kill("messages-api"),
    "kill the search": lambda it: it.kill("messages-search"),
    "kill the feed": lambda it: it.kill("messages-feed"),
    "kill presence": lambda it: it.kill("presence"),
    "kill media": lambda it: it.kill("media"),
    "kill Valkey": lambda it: it.kill("valkey"),
    "kill PostgreSQL": lambda it: it.end_postgres(signal.SIGKILL),
    "restart PostgreSQL at once": lambda it: it.end_postgres(signal.SIGQUIT),
    FAIL_OVER: Nemesis.fail_over,
    GO_BACK: Nemesis.go_back,
    "restart a gateway": lambda it: it.kill(it.one("gateway"), signal.SIGTERM),
    "restart a worker": lambda it: it.kill(it.one("messages-worker"), signal.SIGTERM),
    "restart the api": lambda it: it.kill("messages-api", signal.SIGTERM),
    "pause a gateway": lambda it: it.pause(it.one("gateway")),
    "pause a worker": lambda it: it.pause(it.one("messages-worker")),
    "pause the api": lambda it: it.pause("messages-api"),
    "pause the search": lambda it: it.pause("messages-search"),
    "pause the feed": lambda it: it.pause("messages-feed"),
    "pause presence": lambda it: it.pause("presence"),
    "pause media": lambda it: it.pause("media"),
    "pause Valkey": lambda it: it.pause("valkey"),
    "make the database read-only": Nemesis.read_only,
    "fill the bus's memory": Nemesis.fill,
    "wipe the bus": lambda it: it.ruin(ruin.wipe),
    "trim events under a paused gateway": lambda it: it.pause(it.one("gateway"), meanwhile=lambda: it.ruin(ruin.trim)),
    "lose events": lambda it: it.ruin(ruin.lose),
    "move the bus's clock": lambda it: it.ruin(ruin.move_clock),
    "poison the bus": Nemesis.poison,
    "stall a reader": Nemesis.stall,
    "cut a reader off": Nemesis.cut_off,
    "drop a reader": Nemesis.drop,
    "break every Socket.IO connection": Nemesis.unbalance,
}
