"""A process: how it starts, serves its operational endpoints, and stops."""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

from chassis import metrics
from chassis.lifecycle import Lifecycle, State
from chassis.release import VERSION

PROGRAM = """
import asyncio, sys
from chassis.config import ProcessConfig
from chassis.lifecycle import Lifecycle, run

async def main(config: ProcessConfig, lifecycle: Lifecycle) -> None:
    lifecycle.set_ready(True)
    print("started", flush=True)
    await lifecycle.stopping.wait()
    {after}

run(ProcessConfig, main)
"""


def start(after: str = "pass", **environ: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(after=after)],
        env={**os.environ, "HUBBUB_DRAIN_SECONDS": "1", **environ},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    if "HUBBUB_OPS_LISTEN" in environ:
        assert re.search(rf"process_started .*release={re.escape(VERSION)}", process.stdout.readline())
    assert process.stdout.readline() == "started\n"
    return process


def test_sigterm_lets_the_process_finish_its_work() -> None:
    process = start(after='print("drained", flush=True)')
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert "drained" in output
    assert process.returncode == 0


def test_a_process_that_does_not_stop_is_cancelled_after_the_drain_time() -> None:
    process = start(after="await asyncio.Event().wait()")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 1


def test_invalid_settings_are_all_reported_with_exit_code_2() -> None:
    environ = {**os.environ, "HUBBUB_ENV": "moon", "HUBBUB_DRAIN_SECONDS": "0"}
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(after="pass")], env=environ, capture_output=True, text=True, timeout=20, check=False
    )
    assert process.returncode == 2
    assert "HUBBUB_ENV" in process.stderr
    assert "HUBBUB_DRAIN_SECONDS" in process.stderr


def test_readiness_and_metrics_are_served(free_port: int) -> None:
    process = start(HUBBUB_OPS_LISTEN=f"127.0.0.1:{free_port}")
    base = f"http://127.0.0.1:{free_port}"
    with urllib.request.urlopen(f"{base}/readyz", timeout=5) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"{base}/healthz", timeout=5) as answer:
        assert answer.read().decode() == f"ok\nrelease {VERSION}\n"
    with urllib.request.urlopen(f"{base}/metrics", timeout=5) as answer:
        page = answer.read()
        assert b"hubbub_ready 1.0" in page
        assert f'hubbub_build_info{{version="{VERSION}"}} 1.0'.encode() in page
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)


_HIDING = """
import ctypes, os, sys
from chassis.lifecycle import hide_memory
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
for hide in (lambda: None, hide_memory):
    hide()
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            os.write(writer, str(b"hunter2" in open(f"/proc/{os.getppid()}/environ", "rb").read()).encode())
        except PermissionError:
            os.write(writer, b"refused")
        os._exit(0)
    os.waitpid(child, 0)
    sys.stdout.write(os.read(reader, 100).decode() + " ")
"""


def test_the_service_hides_its_environment_from_other_processes_of_its_user() -> None:
    argv = [sys.executable, "-c", _HIDING]
    done = subprocess.run(argv, env={**os.environ, "SECRET": "hunter2"}, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.split() == ["True", "refused"], done.stderr


_SECRET = """
import asyncio, os
from dataclasses import dataclass
from chassis.config import ProcessConfig, Secret, secret, setting
from chassis.lifecycle import Lifecycle, run

@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ProcessConfig):
    url: Secret = setting("HUBBUB_URL", secret)

async def main(config: Config, lifecycle: Lifecycle) -> None:
    child = await asyncio.create_subprocess_exec("env", stdout=asyncio.subprocess.PIPE)
    output, _ = await child.communicate()
    print(str(config.url), "HUBBUB_URL" in os.environ, b"hunter2" in output)

run(Config, main)
"""


def test_a_secret_leaves_the_environment_when_it_has_been_read() -> None:
    argv = [sys.executable, "-c", _SECRET]
    environ = {**os.environ, "HUBBUB_URL": "hunter2"}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.splitlines()[0] == "hunter2 False False", done.stderr


async def test_a_process_says_why_it_is_not_ready() -> None:
    lifecycle = Lifecycle()
    told = [lifecycle.state]
    lifecycle.set_ready(True)
    told.append(lifecycle.state)
    lifecycle.full = lambda: True
    told.append(lifecycle.state)
    lifecycle.stop()
    assert [*told, lifecycle.state] == [State.NOT_READY, State.READY, State.FULL, State.STOPPING]


def test_a_page_of_metrics_is_made_once_a_second_however_often_it_is_asked_for() -> None:
    assert len({id(metrics.page()) for _ in range(100)}) <= 2
