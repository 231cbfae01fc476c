"""What a connect costs by the number of the user's channels: processor time of each process, and bytes of `hello`.

    python -m bench.accounts [SECONDS]

Users with 10, 100, 1,000 and 5,000 channels connect in turns, `sync` from `hello`, and leave. They share the channels with others
who stay connected, and every tenth channel has something unread. Rows are written directly, since 5,000 channels are more than a
user may join by default. The time of this process, which plays the clients, is not counted, nor is what the processes do anyway:
their idling is measured before and subtracted.
"""

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
import websockets

from bench import processes
from bench.people import TENANT, Issuer
from bench.systems.hubbub import Hubbub

SIZES = {10: 200, 100: 100, 1_000: 30, 5_000: 8}
"""Users by number of channels."""
POOL = 8_000
"""Channels of which users have random ones."""
AT_ONCE = 16
IDLE_SECONDS = 5.0
RESIDENTS = 5
"""Users who stay connected; together they are in nearly all channels."""
_FRAME_BYTES = 16 * 1024 * 1024
_FILL = """
SELECT set_config('hubbub.tenants', '{{{tenant}}}', false);
INSERT INTO users (tenant, id, name) SELECT '{tenant}', 'filler-' || n, 'Filler ' || n FROM generate_series(1, 10) n;
INSERT INTO channels (id, tenant, kind, name, history, head, posts, last_post)
SELECT ('0190a0a0-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, '{tenant}', 'group', 'Room number ' || n, 'all', 10, 10, 10
FROM generate_series(1, {pool}) n;
INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, key, message, text)
SELECT id, seq, seq, '{tenant}', 1, 'filler-1', now() - make_interval(secs => seq), seq::text, gen_random_uuid(), 'text'
FROM channels, generate_series(1, 10) seq WHERE tenant = '{tenant}';
"""

_JOIN = """
INSERT INTO members (channel, "user", tenant, role, joined_seq, read_seq)
SELECT ('0190a0a0-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, %s, %s, 'member', 1, CASE n %% 10 WHEN 0 THEN 5 ELSE 10 END
FROM unnest(%s::int[]) n
"""


def user(size: int, number: int) -> str:
    """The id of one of the users with so many channels."""
    return f"user-{size}-{number}"


async def fill(url: str) -> None:
    """Write users, channels and memberships."""
    dice = random.Random(1)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in _FILL.format(tenant=TENANT, pool=POOL).split(";\n"):
            if statement.strip():
                await connection.execute(statement.encode())
        people = [(user(size, number), size) for size, users in SIZES.items() for number in range(users)]
        people += [(user(0, number), 5_000) for number in range(RESIDENTS)]
        async with connection.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO users (tenant, id, name) VALUES (%s, %s, %s)", [(TENANT, name, name) for name, _ in people]
            )
            await cursor.executemany(_JOIN, [(name, TENANT, dice.sample(range(1, POOL + 1), size)) for name, size in people])
        await connection.execute("ANALYZE")


def connected(target: str, token: str) -> websockets.connect:
    """A connection, as a context manager."""
    return websockets.connect(
        f"ws://{target}/v1/connect",
        subprotocols=[websockets.Subprotocol("hubbub.v1")],
        additional_headers={"Authorization": f"Bearer {token}"},
        max_size=_FRAME_BYTES,
        ping_interval=None,
        compression=None,
    )


async def connect(target: str, token: str) -> int:
    """Connect, sync from `hello`, and leave; return the bytes of `hello`."""
    async with connected(target, token) as socket:
        hello = await socket.recv()
        await socket.send(json.dumps({"type": "sync", "positions": {}}))
        await socket.recv()
        return len(hello)


async def idling(system: Hubbub) -> dict[str, float]:
    """Seconds of processor time by role in a second without connects."""
    roles = system.watch()
    before = {role: processes.seconds(pids) for role, pids in roles.items()}
    await asyncio.sleep(IDLE_SECONDS)
    return {role: (processes.seconds(pids) - before[role]) / IDLE_SECONDS for role, pids in roles.items()}


async def round_of(system: Hubbub, tokens: Sequence[str], idle: Mapping[str, float]) -> tuple[dict[str, float], int]:
    """Connect all users once; return milliseconds of processor time by role per connect, and the largest `hello`."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(token: str) -> int:
        async with slots:
            return await connect(system.targets[0], token)

    roles = system.watch()
    before, began = {role: processes.seconds(pids) for role, pids in roles.items()}, time.monotonic()
    sizes = await asyncio.gather(*(one(token) for token in tokens))
    await asyncio.sleep(1)  # presence and the sweeper follow
    seconds = time.monotonic() - began
    spent = {role: processes.seconds(pids) - before[role] - idle[role] * seconds for role, pids in roles.items()}
    return {role: 1000 * each / len(tokens) for role, each in spent.items()}, max(sizes)


async def stay(target: str, token: str, inside: asyncio.Event) -> None:
    """Stay connected until cancelled."""
    async with connected(target, token) as socket:
        await socket.recv()
        inside.set()
        async for _ in socket:
            pass


async def measure(data: Path, seconds: float) -> None:
    """Print a table: medians of rounds in turns."""
    issuer = Issuer(data)
    rounds: dict[int, list[dict[str, float]]] = defaultdict(list)
    hellos: dict[int, int] = {}
    async with Hubbub(data / "hubbub", issuer.jwks_file) as system:
        await system.until_serving()
        await fill(system.database_url)
        residents = []
        for number in range(RESIDENTS):  # so that the gateway knows the channels, as one with many users does
            inside = asyncio.Event()
            token = issuer.token(user(0, number))
            residents.append(asyncio.create_task(stay(system.targets[0], token, inside)))
            await inside.wait()
        tokens = {size: [issuer.token(user(size, number)) for number in range(users)] for size, users in SIZES.items()}
        idle = await idling(system)
        until = time.monotonic() + seconds
        while not hellos or time.monotonic() < until:
            for size in SIZES:
                spent, hellos[size] = await round_of(system, tokens[size], idle)
                rounds[size].append(spent)
        for task in residents:
            task.cancel()
    roles = ["server", "api", "postgres", "presence", "valkey", "worker"]
    print(f"{'channels':>8} {'total':>8} " + " ".join(f"{role:>8}" for role in roles) + f" {'hello':>9}  [ms a connect; bytes]")
    for size, measured in rounds.items():
        spent = {role: statistics.median(each.get(role, 0.0) for each in measured) for role in roles}
        print(
            f"{size:>8} {sum(spent.values()):>8.2f} " + " ".join(f"{spent[role]:>8.2f}" for role in roles) + f" {hellos[size]:>9}"
        )


def main() -> None:
    """Measure in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="hubbub-accounts-") as folder:
        data = Path(folder)
        data.chmod(0o711)  # PostgreSQL runs as another user
        asyncio.run(measure(data, float(sys.argv[1]) if len(sys.argv) > 1 else 30.0))


if __name__ == "__main__":
    main()
