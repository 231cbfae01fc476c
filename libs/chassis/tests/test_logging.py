import pytest
import structlog

from chassis.config import ProcessConfig
from chassis.logging import configure


@pytest.mark.parametrize("env", ["production", "local"])
def test_a_logged_exception_shows_no_local_variables(capsys: pytest.CaptureFixture[str], env: str) -> None:
    configure(ProcessConfig(env=env, log_level="info", instance="test", ops_listen=None, drain_seconds=1))

    def fail() -> None:
        secret = "2retnuh"[::-1]  # so that no source line contains it
        raise ZeroDivisionError(len(secret))

    try:
        fail()
    except ZeroDivisionError:
        structlog.get_logger().exception("it_failed")

    printed = capsys.readouterr().out
    assert "ZeroDivisionError" in printed
    assert "fail" in printed
    assert "hunter2" not in printed
    structlog.reset_defaults()


def test_production_does_not_log_exception_messages(capsys: pytest.CaptureFixture[str]) -> None:
    configure(ProcessConfig(env="production", log_level="info", instance="test", ops_listen=None, drain_seconds=1))

    def fail() -> None:
        raise RuntimeError("2retnuh"[::-1])

    try:
        fail()
    except RuntimeError:
        structlog.get_logger().exception("it_failed")

    printed = capsys.readouterr().out
    assert "RuntimeError" in printed
    assert "hunter2" not in printed
    structlog.reset_defaults()
