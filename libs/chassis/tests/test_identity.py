"""A process's identity: reused tokens, and the command that creates keys."""

import json
import stat
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, OKPKey

from chassis import jwt
from chassis.identity import RENEWAL_SECONDS, TOKEN_SECONDS, Identity, main, private_key, public_jwk
from chassis.jwt import verification_keys

KEY = OKPKey.generate_key("Ed25519")


def test_a_token_is_reused_and_renewed_before_it_expires() -> None:
    now = 1_000.0
    identity = Identity("shop", KEY, clock=lambda: now)
    first = identity.credential("hubbub.messages")
    now += TOKEN_SECONDS - RENEWAL_SECONDS - 1
    assert identity.credential("hubbub.messages") is first
    now += 1
    second = identity.credential("hubbub.messages")
    assert second != first
    read = jwt.read(second[1].removeprefix("Bearer "))
    read.require_signature(verification_keys([public_jwk(KEY)])[read.kid])
    assert read.claims == {"iss": "shop", "aud": "hubbub.messages", "iat": int(now), "exp": int(now + TOKEN_SECONDS)}


def test_each_audience_gets_its_own_token() -> None:
    identity = Identity("shop", KEY)
    tokens = {identity.credential(f"hubbub.{name}") for name in ("messages", "media", "presence")}
    assert len(tokens) == 3


def test_a_key_file_is_private_and_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shop.pem"
    assert main(["key", str(path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert printed == public_jwk(private_key(path.read_text()))
    assert "d" not in printed
    assert main(["key", str(path)]) == 1
    assert "exists" in capsys.readouterr().err
    assert main(["public", str(path)]) == 0
    assert json.loads(capsys.readouterr().out) == printed
    assert main(["token", str(path), "shop", "hubbub.media"]) == 0
    jwt.read(capsys.readouterr().out.strip()).require_signature(verification_keys([printed])[printed["kid"]])
    assert main(["token"]) == 2


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "x",
        KEY.as_pem(private=False).decode(),
        ECKey.generate_key("P-256").as_pem(private=True).decode(),
        OKPKey.generate_key("X25519").as_pem(private=True).decode(),
    ],
)
def test_an_invalid_private_key_is_rejected(pem: str) -> None:
    with pytest.raises(ValueError, match="must be an Ed25519 private key"):
        private_key(pem)
