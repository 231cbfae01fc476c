from dataclasses import dataclass

import pytest

from chassis.config import Address, ConfigError, ProcessConfig, Secret, address, load, names, secret, setting, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Example(ProcessConfig):
    listen: Address = setting("EXAMPLE_LISTEN", address)
    password: Secret = setting("EXAMPLE_PASSWORD", secret)
    partitions: int = setting("EXAMPLE_PARTITIONS", whole(1, 64), 8)


def test_settings_are_read_with_defaults() -> None:
    config = load(Example, {"EXAMPLE_LISTEN": "127.0.0.1:9000", "EXAMPLE_PASSWORD": "hush", "EXAMPLE_PARTITIONS": ""})
    assert config.listen == Address("127.0.0.1", 9000)
    assert config.partitions == 8
    assert not config.production


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load(Example, {"EXAMPLE_LISTEN": "nowhere", "EXAMPLE_PARTITIONS": "65", "HUBBUB_ENV": "moon"})
    problems = "\n".join(caught.value.problems)
    for name in ("EXAMPLE_LISTEN", "EXAMPLE_PASSWORD", "EXAMPLE_PARTITIONS", "HUBBUB_ENV"):
        assert name in problems


def test_a_secret_is_never_printed() -> None:
    config = load(Example, {"EXAMPLE_LISTEN": "127.0.0.1:9000", "EXAMPLE_PASSWORD": "hush"})
    assert config.password == "hush"
    assert "hush" not in repr(config)


def test_names_returns_the_variables_that_are_read() -> None:
    assert {"EXAMPLE_LISTEN", "EXAMPLE_PASSWORD", "HUBBUB_ENV", "HUBBUB_OPS_LISTEN"} <= names(Example)
