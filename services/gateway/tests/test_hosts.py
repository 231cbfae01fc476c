"""Which `Host` a gateway answers to: what DNS rebinding needs is refused, what people type is served."""

from __future__ import annotations

import pytest

from gateway.config import hosts
from gateway.door.hosts import host_name, served_hosts

NONE: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    "value",
    ["localhost", "LOCALHOST:8080", "localhost.", "app.localhost:1", "127.0.0.1", "[::1]:8080", "192.168.1.7:80", "hubbub"],
)
def test_a_local_gateway_serves_names_that_no_stranger_can_have(value: str) -> None:
    name = host_name(value.encode())
    assert name is not None
    assert served_hosts(NONE, "", production=False)(name)


@pytest.mark.parametrize("value", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "1.2.3.4.5", "a.b"])
def test_a_local_gateway_refuses_every_other_name(value: str) -> None:
    name = host_name(value.encode())
    assert name is not None
    assert not served_hosts(NONE, "", production=False)(name)


@pytest.mark.parametrize("value", ["", ":80", "a b", "a/b", "user@host", "a:b", "[::1", "\xe4.example", "a" * 256, "a,b c"])
def test_what_is_no_host_has_no_name(value: str) -> None:
    assert host_name(value.encode("latin-1")) is None


def test_a_list_of_hosts_is_the_whole_list_besides_the_public_address() -> None:
    served = served_hosts(hosts("Chat.Example.com, other.example"), "sign-in.example", production=True)
    assert [served(name) for name in ("chat.example.com", "other.example", "sign-in.example")] == [True] * 3
    assert [served(name) for name in ("example.com", "localhost", "127.0.0.1", "")] == [False] * 4


def test_production_without_a_list_and_a_star_serve_every_name() -> None:
    assert served_hosts(NONE, "", production=True)("any.example")
    assert served_hosts(hosts("*"), "", production=False)("any.example")


@pytest.mark.parametrize("value", ["https://chat.example", "chat.example:443", "*.example.com", "a b"])
def test_what_is_no_list_of_hosts_is_a_wrong_setting(value: str) -> None:
    with pytest.raises(ValueError, match="a host is like"):
        hosts(value)
