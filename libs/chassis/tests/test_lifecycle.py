"""A process: how it starts, serves its operational endpoints, and stops."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

from chassis import metrics
from chassis.lifecycle import Lifecycle, State

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
    with urllib.request.urlopen(f"{base}/metrics", timeout=5) as answer:
        assert b"hubbub_ready 1.0" in answer.read()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)


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
