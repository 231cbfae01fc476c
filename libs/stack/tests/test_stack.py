"""`python -m stack` starts, supervises and stops the product, run by root or another user."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from stack import Stack
from stack.errors import NotReadyError
from stack.identity import Identity

_STANDIN = Path(__file__).with_name("standin.py")
_NAMES = {
    "gateway-0",
    "messages-api",
    "messages-worker-0",
    "messages-search",
    "messages-feed",
    "presence",
    "media",
    "integrations",
    "postgres",
    "valkey",
    "objects",
}


@pytest.fixture
def services(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which the stand-in replaces each service."""
    for name in ("gateway", "messages", "presence", "media", "integrations"):
        (tmp_path / "services" / name).mkdir(parents=True)
        (tmp_path / "services" / name / "__init__.py").touch()
        shutil.copy(_STANDIN, tmp_path / "services" / name / "__main__.py")
    return {"PYTHONPATH": str(tmp_path / "services")}


async def environment_of(stack: Stack, name: str) -> dict[str, str]:
    """Return the environment of a service."""
    async with httpx.AsyncClient(timeout=5) as client:
        environment: dict[str, str] = (await client.get(f"{stack.ops_url(name)}/env")).json()
    return environment


async def until(condition: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def descendants(pid: int) -> list[int]:
    children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    return [*children, *(deeper for child in children for deeper in descendants(child))]


async def test_every_process_is_listed_and_each_service_sees_only_its_own_stores(
    tmp_path: Path, services: dict[str, str]
) -> None:
    async with Stack(tmp_path / "data", env=services) as stack:
        assert set(stack.pids) == _NAMES
        gateway, worker, media = [await environment_of(stack, name) for name in ("gateway-0", "messages-worker-0", "media")]
    assert not {"HUBBUB_MESSAGES_DATABASE_URL", "HUBBUB_MEDIA_S3_SECRET_KEY", "HUBBUB_PRESENCE_REDIS_URL"} & set(gateway)
    assert "HUBBUB_GATEWAY_KEY" in gateway
    assert "HUBBUB_GATEWAY_KEY" not in {*worker, *media}
    assert {each["name"] for each in json.loads(media["HUBBUB_CALLERS"])} == {"gateway", "messages", "integrations", "product"}
    assert "PRIVATE" not in media["HUBBUB_CALLERS"]
    users = {name: urlsplit(each["HUBBUB_BUS_URL"]).username for name, each in {"gateway": gateway, "worker": worker}.items()}
    assert users == {"gateway": "gateway", "worker": "messages-worker"}
    assert {urlsplit(each["HUBBUB_BUS_URL"]).port for each in (gateway, worker)} == {urlsplit(gateway["HUBBUB_BUS_URL"]).port}
    assert urlsplit(media["HUBBUB_MEDIA_DATABASE_URL"]).username == "media_service"
    assert urlsplit(media["HUBBUB_MEDIA_SWEEPER_DATABASE_URL"]).username == "media_sweeper"
    assert "HUBBUB_MESSAGES_DATABASE_URL" not in media
    assert not any("MIGRATION" in name for name in {*gateway, *worker, *media})


async def test_data_and_keys_survive_a_run_and_are_private(tmp_path: Path, services: dict[str, str]) -> None:
    stack = Stack(tmp_path / "data", env=services)
    async with stack:
        url = str(stack.endpoints["HUBBUB_MESSAGES_MIGRATION_DATABASE_URL"])
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute("CREATE TABLE kept (n int)")
        keys = {path: path.read_bytes() for path in (stack.data / "keys").iterdir()}
        assert {"dev.pem", "gateway.pem", "product.pem"} <= {path.name for path in keys}
    assert not (stack.data / "pids.json").exists()
    async with stack:
        url = str(stack.endpoints["HUBBUB_MESSAGES_MIGRATION_DATABASE_URL"])
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute("SELECT n FROM kept")
        assert {path: path.read_bytes() for path in (stack.data / "keys").iterdir()} == keys
        assert {path.stat().st_mode & 0o077 for path in (stack.data / "keys").iterdir()} == {0}


async def test_every_killed_process_is_started_again_on_its_port(tmp_path: Path, services: dict[str, str]) -> None:
    async with Stack(tmp_path / "data", env=services) as stack:
        for name in sorted(_NAMES):
            pid = stack.kill(name)
            await stack.started(name, after=pid, timeout_seconds=10)
        await stack.serving("gateway-0")
        url = str(stack.endpoints["HUBBUB_MESSAGES_DATABASE_URL"])

        def answers() -> bool:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(url, connect_timeout=1).close()
                return True
            return False

        await until(answers, 5)


async def test_a_killed_supervisor_leaves_no_process_and_the_next_run_starts(tmp_path: Path, services: dict[str, str]) -> None:
    async with Stack(tmp_path / "data", env=services) as stack:
        family = descendants(stack.pid)
        assert len(family) > len(_NAMES)  # PostgreSQL has children of its own
        os.kill(stack.pid, signal.SIGKILL)
        await until(lambda: not any(map(is_running, family)), 8)
        await stack.start()
        await stack.serving("gateway-0")


async def test_two_stacks_can_run_side_by_side(tmp_path: Path, services: dict[str, str]) -> None:
    async with Stack(tmp_path / "one", env=services) as one, Stack(tmp_path / "two", env=services) as two:
        assert set(one.pids.values()).isdisjoint(two.pids.values())
        assert one.gateways != two.gateways
        await one.stop()
        await two.serving("gateway-0")


async def test_a_second_run_on_the_same_data_is_refused(tmp_path: Path, services: dict[str, str]) -> None:
    async with Stack(tmp_path / "data", env=services) as stack:
        output = await run_stack({**services, "HUBBUB_DATA": str(stack.data), "HUBBUB_PORT": "0"})
    assert output.startswith(f"Hubbub is already running on {stack.data} (process {stack.pid}): stop it, or set HUBBUB_DATA")
    assert output.count("\n") == 1


async def test_an_occupied_port_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        output = await run_stack({"HUBBUB_DATA": str(tmp_path / "data"), "HUBBUB_PORT": str(port)})
    assert output == f"Port {port} is already in use: stop the process that uses it, or set HUBBUB_PORT to another port.\n"


async def test_invalid_settings_are_reported_together(tmp_path: Path) -> None:
    output = await run_stack({"HUBBUB_DATA": str(tmp_path / "data"), "HUBBUB_PORT": "http", "WORKERS": "0"})
    assert output == "HUBBUB_PORT must be a number from 0 to 65535, not 'http'. WORKERS must be a number from 1 to 64, not '0'.\n"


async def test_a_service_that_cannot_start_ends_the_run_and_is_named(tmp_path: Path, services: dict[str, str]) -> None:
    (tmp_path / "services" / "presence" / "__main__.py").write_text("raise SystemExit('no such colour')")
    with pytest.raises(NotReadyError, match=r"(?s)no such colour.*presence keeps dying"):
        async with Stack(tmp_path / "data", env=services):
            pass


async def test_the_users_servers_replace_embedded_ones(
    tmp_path: Path, services: dict[str, str], database: str, valkey_url: str
) -> None:
    own = {
        "HUBBUB_MESSAGES_DATABASE_URL": database,
        "HUBBUB_MEDIA_DATABASE_URL": database,
        "HUBBUB_INTEGRATIONS_DATABASE_URL": database,
        "HUBBUB_BUS_URL": valkey_url,
        "HUBBUB_PRESENCE_REDIS_URL": valkey_url,
        "HUBBUB_MEDIA_S3_ENDPOINT": "http://127.0.0.1:9",
    }
    async with Stack(tmp_path / "data", env={**services, **own}) as stack:
        assert set(stack.pids) == _NAMES - {"postgres", "valkey", "objects"}
        assert (await environment_of(stack, "messages-api"))["HUBBUB_MESSAGES_DATABASE_URL"] == database
        assert (await environment_of(stack, "media"))["HUBBUB_MEDIA_S3_ENDPOINT"] == own["HUBBUB_MEDIA_S3_ENDPOINT"]


@pytest.mark.skipif(os.geteuid() != 0, reason="without root, every other test covers this")
@pytest.mark.parametrize("number", [None, 54_321], ids=["named", "without a name"])
async def test_it_runs_for_a_user_other_than_root(tmp_path: Path, services: dict[str, str], number: int | None) -> None:
    data = tmp_path / "data"
    user = Identity(namespace=True) if number is None else Identity(namespace=True, inside=(number, number))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stack"),
        env={**os.environ, **services, "HUBBUB_DATA": str(data), "HUBBUB_PORT": "0"},
        preexec_fn=user.enter,
    )
    try:
        await until(lambda: (data / "endpoints.json").exists() or process.returncode is not None, 60)
        assert set(json.loads((data / "pids.json").read_text())) == _NAMES
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0


async def run_stack(env: dict[str, str]) -> str:
    """Run `python -m stack`, which must exit with 1. Return its output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stack"),
        env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    return output.decode()
