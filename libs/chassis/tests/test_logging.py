import json

import pytest
import structlog

from chassis.config import ProcessConfig
from chassis.logging import TRACEBACKS_PER_MINUTE, configure


@pytest.mark.parametrize("env", ["production", "local"])
def test_a_logged_exception_shows_no_local_variables(capfd: pytest.CaptureFixture[str], env: str) -> None:
    configure(ProcessConfig(env=env, log_level="info", instance="test", ops_listen=None, drain_seconds=1))

    def fail() -> None:
        secret = "2retnuh"[::-1]  # so that no source line contains it
        raise ZeroDivisionError(len(secret))

    try:
        fail()
    except ZeroDivisionError:
        structlog.get_logger().exception("it_failed")

    printed = capfd.readouterr().out
    assert "ZeroDivisionError" in printed
    assert "fail" in printed
    assert "hunter2" not in printed
    structlog.reset_defaults()


def test_production_does_not_log_exception_messages(capfd: pytest.CaptureFixture[str]) -> None:
    configure(ProcessConfig(env="production", log_level="info", instance="test", ops_listen=None, drain_seconds=1))

    def fail() -> None:
        raise RuntimeError("2retnuh"[::-1])

    try:
        fail()
    except RuntimeError:
        structlog.get_logger().exception("it_failed")

    printed = capfd.readouterr().out
    assert "RuntimeError" in printed
    assert "hunter2" not in printed
    structlog.reset_defaults()


def test_tracebacks_beyond_a_number_are_left_out_and_their_events_are_not(capfd: pytest.CaptureFixture[str]) -> None:
    configure(ProcessConfig(env="production", log_level="info", instance="test", ops_listen=None, drain_seconds=1))
    for _ in range(3 * TRACEBACKS_PER_MINUTE):
        structlog.get_logger().error("it_failed", exc_info=RuntimeError())

    printed = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len(printed) == 3 * TRACEBACKS_PER_MINUTE
    with_traceback = [event for event in printed if "exception" in event]
    assert TRACEBACKS_PER_MINUTE <= len(with_traceback) <= 2 * TRACEBACKS_PER_MINUTE  # twice, where a minute ends meanwhile
    assert all(event["traceback_dropped"] for event in printed if "exception" not in event)
    structlog.reset_defaults()
