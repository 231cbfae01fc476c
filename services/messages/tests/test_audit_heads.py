"""Signed heads show what the seals cannot: that the end of the audit log was cut off, or that it was written anew."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from joserfc.jwk import OKPKey
from structlog.testing import capture_logs

from chassis.config import ConfigError, load
from chassis.identity import public_jwk
from chassis.jwt import InvalidTokenError
from messages import audit_heads
from messages.audit_heads import HeadSigner
from messages.config import ApiConfig
from services.messages.tests.conftest import Town
from services.messages.tests.test_audit import busy
from stack.postgres import Postgres

KEY = OKPKey.generate_key("Ed25519")


async def signed(town: Town, key: OKPKey = KEY) -> list[str]:
    """The log lines of a signer that runs until it is stopped."""
    stopping = asyncio.Event()
    stopping.set()
    with capture_logs() as lines:
        await HeadSigner(town.database, key, 60).run(stopping)
    return [json.dumps(line) for line in lines]


async def verified(url: str, folder: Path, lines: list[str], key: OKPKey = KEY) -> tuple[int | None, str]:
    """Exit code and first line of the command."""
    (folder / "heads.log").write_text("\n".join(["another line", *lines]))
    (folder / "public.jwk").write_text(json.dumps(public_jwk(key)))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "messages", "audit", "verify", str(folder / "heads.log"), str(folder / "public.jwk")),
        env={**os.environ, "HUBBUB_MESSAGES_DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    return process.returncode, out.decode().splitlines()[0]


CUT = (
    "DELETE FROM audit WHERE number > 3; "
    "UPDATE audit_heads SET (number, digest) = (SELECT number, digest FROM audit WHERE number = 3)"
)
EMPTIED = "DELETE FROM audit; DELETE FROM audit_heads"
ANEW = (
    "SET hubbub.tenants = '{*}'; CREATE TEMPORARY TABLE old AS SELECT * FROM audit; DELETE FROM audit; DELETE FROM audit_heads; "
    "SELECT audit_append(tenant, 'eve', action, channel, subject, details) FROM old ORDER BY number"
)


@pytest.mark.parametrize(("statement", "number"), [(CUT, 12), (EMPTIED, 12), (ANEW, 12)], ids=["cut", "emptied", "anew"])
async def test_what_the_owner_of_the_database_does_to_the_log_is_seen(
    own_town: Town, postgres_server: Postgres, statement: LiteralString, number: int, tmp_path: Path
) -> None:
    await busy(own_town)
    lines = await signed(own_town)
    assert await verified(own_town.url, tmp_path, lines) == (0, "The audit log is intact.")
    database = own_town.url.rpartition("/")[2]
    async with await psycopg.AsyncConnection.connect(postgres_server.url(database, "postgres"), autocommit=True) as superuser:
        await superuser.execute("ALTER TABLE audit DISABLE TRIGGER insert_only")
        await superuser.execute(statement)
    assert await verified(own_town.url, tmp_path, []) == (0, "The audit log is intact.")
    assert await verified(own_town.url, tmp_path, lines) == (1, f"{own_town.tenant}: record {number}: not as signed")


async def test_later_records_do_not_contradict_a_signed_head(own_town: Town) -> None:
    await busy(own_town)
    lines = await signed(own_town)
    await busy(own_town)
    lines += await signed(own_town)
    heads = list(audit_heads.read(lines, KEY))
    assert [head.number for head in heads] == [12, 24]
    assert await audit_heads.contradicted(own_town.database, heads) == []


async def test_a_head_is_signed_once_unless_it_changes(own_town: Town) -> None:
    await busy(own_town)
    signer = HeadSigner(own_town.database, KEY, 60)
    for more, expected in ((False, 1), (False, 0), (True, 1)):
        if more:
            await busy(own_town)
        with capture_logs() as lines:
            await signer.sign()
        assert len(lines) == expected


async def test_a_head_signed_by_another_key_is_refused(own_town: Town, tmp_path: Path) -> None:
    await busy(own_town)
    lines = await signed(own_town, OKPKey.generate_key("Ed25519"))
    with pytest.raises(InvalidTokenError):
        list(audit_heads.read(lines, KEY))
    code, line = await verified(own_town.url, tmp_path, lines)
    assert code == 1
    assert line.endswith("did not sign")


def test_a_key_of_another_kind_is_refused() -> None:
    given = {
        "HUBBUB_MESSAGES_DATABASE_URL": "postgresql://u:p@127.0.0.1/d",
        "HUBBUB_BUS_URL": "memory://",
        "HUBBUB_MESSAGES_LISTEN": "127.0.0.1:0",
        "HUBBUB_MESSAGES_AUDIT_KEY": "x",
    }
    with pytest.raises(ConfigError, match=r"^HUBBUB_MESSAGES_AUDIT_KEY must be an Ed25519"):
        load(ApiConfig, given)
