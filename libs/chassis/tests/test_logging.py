import pytest
import structlog

from chassis.config import ProcessConfig
from chassis.logging import configure


@pytest.mark.parametrize("env", ["production", "local"])
def test_a_logged_failure_shows_no_values(capsys: pytest.CaptureFixture[str], env: str) -> None:
    configure(ProcessConfig(env=env, log_level="info", instance="test", ops_listen=None, drain_seconds=1))

    def fail() -> None:
        secret = "2retnuh"[::-1]  # so that no line of source holds it
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


def test_production_does_not_print_what_an_exception_says(capsys: pytest.CaptureFixture[str]) -> None:
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
