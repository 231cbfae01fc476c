"""What one message costs in a large room in which everybody reads it: frames for each socket, and processor time.

    python -m bench.room [SOCKETS] [GATEWAYS]

One room, a socket for each member, spread over the gateways. The author posts, and every other member answers the event with
`read`. Rows are written directly. The time of this process, which plays the clients, is not counted.
"""

import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psycopg

from bench import processes
from bench.people import TENANT, Issuer
from bench.socket_client import Frame, SocketClient
from bench.systems.hubbub import Hubbub

ROOM = "0190a0a0-0000-7000-8000-000000000001"
AT_ONCE = 64
QUIET_SECONDS = 3.0
"""So long nothing must arrive until a message counts as read by everybody."""
_FILL = """
SELECT set_config('hubbub.tenants', '{{{tenant}}}', false);
INSERT INTO users (tenant, id, name) SELECT '{tenant}', 'user-' || n, 'User ' || n FROM generate_series(0, {last}) n;
INSERT INTO channels (id, tenant, kind, name, history, head, members)
VALUES ('{room}', '{tenant}', 'public', 'Hall', 'all', 1, {last} + 1);
INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, details)
VALUES ('{room}', 1, 0, '{tenant}', 12, 'user-0', now(), '{{}}');
INSERT INTO members (channel, "user", tenant, role, joined_seq, read_seq, sort_name)
SELECT '{room}', 'user-' || n, '{tenant}', CASE n WHEN 0 THEN 'owner' ELSE 'member' END, 1, 1, 'user ' || n
FROM generate_series(0, {last}) n;
ANALYZE
"""


def read(client: SocketClient, event: Frame) -> None:
    """Answer an event with `read`."""
    client.send(type="read", channel=ROOM, seq=event["seq"])


async def enter(system: Hubbub, issuer: Issuer, frames: Counter[str], sockets: int) -> list[SocketClient]:
    """Connect all members."""
    slots = asyncio.Semaphore(AT_ONCE)
    loop = asyncio.get_running_loop()

    async def one(number: int) -> SocketClient:
        token = issuer.token(f"user-{number}")
        host, port = system.targets[number % len(system.targets)].split(":")
        async with slots:
            on_event = read if number else None
            _, member = await loop.create_connection(lambda: SocketClient(frames, token, on_event), host, int(port))
            await member.opened
            return member

    return await asyncio.gather(*(one(number) for number in range(sockets)))


async def measure(data: Path, sockets: int, gateways: int) -> None:
    """Print the frames and the processor time of one message."""
    issuer, frames = Issuer(data), Counter[str]()
    async with Hubbub(data / "hubbub", issuer.jwks_file, gateways=gateways) as system:
        await system.until_serving()
        async with await psycopg.AsyncConnection.connect(system.database_url, autocommit=True) as connection:
            for statement in _FILL.format(tenant=TENANT, room=ROOM, last=sockets - 1).split(";\n"):
                await connection.execute(statement.encode())
        members = await enter(system, issuer, frames, sockets)
        for number in range(2):  # the first message warms up
            await one_message(system, members[0], frames, number)


async def one_message(system: Hubbub, author: SocketClient, frames: Counter[str], number: int) -> None:
    """Post a message, wait until all is quiet, and print what it cost."""
    frames.clear()
    roles = system.watch()
    before = {role: processes.seconds(pids) for role, pids in roles.items()}
    started, changed, known = time.monotonic(), time.monotonic(), 0
    author.send(type="send", ref=1, channel=ROOM, key=f"message-{number}", text="Who reads this?")
    while time.monotonic() - changed < QUIET_SECONDS:
        await asyncio.sleep(0.2)
        if known != frames.total():
            known, changed = frames.total(), time.monotonic()
    sockets = frames["event"]
    spent = {role: (processes.seconds(pids) - before[role]) * 1e6 / sockets for role, pids in roles.items()}
    print(
        f"{sockets} sockets, {frames.total() / sockets:.3f} frames a socket in {changed - started:.1f} s "
        f"({', '.join(f'{kind} {count}' for kind, count in sorted(frames.items()))}); "
        f"µs of a processor for each socket, its read included: "
        + ", ".join(f"{role} {each:.0f}" for role, each in sorted(spent.items()) if each >= 1)
    )


def main() -> None:
    """Measure in a temporary folder."""
    sockets, gateways = (int(word) for word in (sys.argv[1:] + ["10000", "1"][len(sys.argv) - 1 :])[:2])
    with tempfile.TemporaryDirectory(prefix="hubbub-room-") as folder:
        data = Path(folder)
        data.chmod(0o711)  # PostgreSQL runs as another user
        asyncio.run(measure(data, sockets, gateways))


if __name__ == "__main__":
    main()
