"""Sealed cookies, and the settings that signing in needs."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

import pytest
from joserfc.jwk import OKPKey

from chassis.config import ConfigError, Secret, load
from gateway.config import Config
from gateway.identity.cookies import COOKIE_BYTES, OversizeError, Seal
from gateway.identity.identity import Identity
from gateway.identity.origin import may_use

OLD, NEW = "old-key-0123456789-0123456789-0123", hashlib.sha256(b"a key of the tests").hexdigest()
ANN = Identity("acme", "ann", "Ann", ("admin",), 1.5, 2_000_000_000.0)
SPELLINGS = (base64.b64encode, base64.urlsafe_b64encode)
GIVEN = {
    "HUBBUB_LISTEN": "127.0.0.1:8080",
    "HUBBUB_BUS_URL": "memory:",
    "HUBBUB_GRPC_PLAINTEXT": "1",
    "HUBBUB_MESSAGES_TARGET": "a:1",
    "HUBBUB_PRESENCE_TARGET": "a:2",
    "HUBBUB_MEDIA_TARGET": "a:3",
    "HUBBUB_INTEGRATIONS_TARGET": "a:4",
    "HUBBUB_GATEWAY_KEY": OKPKey.generate_key("Ed25519").as_pem(private=True).decode(),
    "HUBBUB_TRUSTED_PROXIES": "none",
}
SIGN_IN = {
    "HUBBUB_OIDC_ISSUER": "https://login.example",
    "HUBBUB_OIDC_CLIENT_ID": "hubbub",
    "HUBBUB_OIDC_REDIRECT_BASE": "https://Chat.example/",
    "HUBBUB_OIDC_TENANTS": '{"*": "acme"}',
    "HUBBUB_SESSION_KEYS": NEW,
}


def seal(keys: str, purpose: str = "session", now: float = 1_000.0) -> Seal[Identity]:
    return Seal(Secret(keys), purpose, Identity, lambda: now)


def test_a_sealed_value_opens_until_it_expires() -> None:
    text = seal(NEW).close(ANN, 1_060.0)
    assert seal(NEW).open(text) == ANN
    assert seal(NEW, now=1_059.9).open(text) == ANN
    assert seal(NEW, now=1_060.0).open(text) is None


def test_a_key_is_replaced_without_signing_users_out() -> None:
    before = seal(OLD).close(ANN, 2_000.0)
    rotated = seal(f"{NEW}, {OLD}")
    assert rotated.open(before) == ANN
    assert seal(NEW).open(rotated.close(ANN, 2_000.0)) == ANN
    assert seal(NEW).open(before) is None


def test_a_seal_for_another_purpose_does_not_open() -> None:
    assert seal(NEW, "attempt").open(seal(NEW).close(ANN, 2_000.0)) is None


def test_no_bit_of_a_seal_can_be_changed() -> None:
    text = seal(NEW).close(ANN, 2_000.0)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place, letter in enumerate(text):
        if letter == "." or text[place + 1 : place + 2] in (".", ""):  # the low bits of a part's last letter may be unused
            continue
        other = alphabet[(alphabet.index(letter) + 1) % 64]
        assert seal(NEW).open(text[:place] + other + text[place + 1 :]) is None


@pytest.mark.parametrize("text", ["", "A", "é", "\ud800", "A" * 10, "A" * (COOKIE_BYTES + 1), "=" * 40, "a b", "\x00"])
def test_a_text_that_is_not_a_seal_does_not_open(text: str) -> None:
    assert seal(NEW).open(text) is None


def test_a_cookie_fits_into_a_browser() -> None:
    with pytest.raises(OversizeError):
        seal(NEW).close(Identity("acme", "ann", "Ann", ("x" * 64,) * 64, 0, 0), 2_000.0)


def test_the_settings_of_sign_in_are_read_together() -> None:
    config = load(Config, {**GIVEN, **SIGN_IN, "HUBBUB_ENV": "production"}).sign_in
    assert config is not None
    assert config.redirect_uri == "https://chat.example/v1/signin/callback"
    assert config.tenants == {"*": "acme"}
    assert NEW not in repr(config)
    assert load(Config, GIVEN).sign_in is None


@pytest.mark.parametrize("missing", [name for name in SIGN_IN if name != "HUBBUB_OIDC_ISSUER"])
def test_a_provider_requires_all_of_its_settings(missing: str) -> None:
    assert missing in problems({name: value for name, value in SIGN_IN.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HUBBUB_OIDC_ISSUER", "http://login.example"),
        ("HUBBUB_OIDC_REDIRECT_BASE", "http://chat.example"),
        ("HUBBUB_OIDC_REDIRECT_BASE", "https://chat.example/path"),
        ("HUBBUB_OIDC_TENANTS", '{"*": "Not A Tenant"}'),
        ("HUBBUB_OIDC_TENANTS", '["acme"]'),
        ("HUBBUB_SESSION_KEYS", "short"),
        ("HUBBUB_SESSION_KEYS", f"{NEW},"),
        ("HUBBUB_SESSION_KEYS", 32 * "a"),
        ("HUBBUB_SESSION_KEYS", 64 * "a"),
        ("HUBBUB_SESSION_KEYS", 4 * "0123456789abcdef"),
        ("HUBBUB_SESSION_KEYS", "correct horse battery staple, and again"),
        ("HUBBUB_SESSION_KEYS", f"{NEW},{OLD}"),
        ("HUBBUB_DEV_LOGIN", "1"),
    ],
)
def test_production_refuses_insecure_settings(name: str, value: str) -> None:
    assert name in problems({**SIGN_IN, name: value})


@pytest.mark.parametrize("key", [NEW, NEW.upper(), *(spell(bytes.fromhex(NEW)).decode() for spell in SPELLINGS)])
def test_production_takes_random_keys_in_hex_and_base64(key: str) -> None:
    load(Config, {**GIVEN, **SIGN_IN, "HUBBUB_SESSION_KEYS": f"{key}, {key.strip('=')}", "HUBBUB_ENV": "production"})


DEV_LOGIN = {"HUBBUB_DEV_LOGIN": "1", "HUBBUB_DEV_KEY_FILE": "dev.pem"}
ISSUERS = '[{"issuer": "https://one.example", "audience": "a", "tenants": ["one"], "jwks_file": "keys.json"}]'


@pytest.mark.parametrize("listen", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "127.9.9.9:1"])
def test_the_development_login_starts_on_the_loopback_interface(listen: str) -> None:
    assert load(Config, {**GIVEN, **DEV_LOGIN, "HUBBUB_LISTEN": listen}).dev_login


@pytest.mark.parametrize(
    "beside",
    [
        *({"HUBBUB_LISTEN": listen} for listen in ("0.0.0.0:8080", "[::]:8080", "10.0.0.1:8080", "chat.example:8080")),
        SIGN_IN,
        {"HUBBUB_ISSUERS": ISSUERS},
        {"HUBBUB_DEV_KEY_FILE": ""},
        {"HUBBUB_ENV": "production"},
    ],
)
def test_the_development_login_is_refused_where_others_could_reach_it_and_beside_real_users(beside: Mapping[str, str]) -> None:
    assert "HUBBUB_DEV_LOGIN" in problems({**DEV_LOGIN, **beside}, env="local")


def problems(given: Mapping[str, str], env: str = "production") -> str:
    with pytest.raises(ConfigError) as caught:
        load(Config, {**GIVEN, "HUBBUB_ENV": env, **given})
    assert NEW not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("origin", "fits"),
    [
        ("https://chat.example", True),
        ("HTTPS://CHAT.example", True),
        ("https://shop.example", True),
        ("https://chat.example:444", False),
        ("https://chat.example.evil.example", False),
        ("https://evil.example/chat.example", False),
        ("evil://chat.example", False),
        ("chat.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_only_our_own_and_listed_origins_may_open_a_socket(origin: str, *, fits: bool) -> None:
    assert may_use(origin, "chat.example", frozenset({"https://shop.example"})) is fits


def test_a_request_without_host_has_no_own_origin() -> None:
    assert not may_use("https://", "", frozenset())
