"""TLS between services: who may connect, replaced certificates, and what production refuses."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chassis import grpc_tls
from chassis.config import Address, ConfigError, ProcessConfig, load
from chassis.errors import Unavailable
from chassis.grpc_client import call, open_channel
from chassis.grpc_server import serve
from chassis.grpc_tls import TlsFiles, require_grpc_tls
from hubbub.presence.v1 import presence_service_pb2 as presence
from hubbub.presence.v1 import presence_service_pb2_grpc as presence_grpc

NAME = "hubbub.presence.v1.PresenceService"
PEM = serialization.Encoding.PEM


class Answering(presence_grpc.PresenceServiceServicer):
    """Answers every call."""

    async def GetPresence(self, *_: object) -> presence.GetPresenceResponse:  # noqa: N802 - the proto's name
        return presence.GetPresenceResponse()


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._count = 0
        certificate = self._sign(self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=None))
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(PEM))

    def issue(self, host: str = "localhost") -> TlsFiles:
        """A certificate for a host, with its key; the authority is this one."""
        self._count += 1
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"process {self._count}")])
        certificate = self._sign(subject, key.public_key(), x509.SubjectAlternativeName([x509.DNSName(host)]))
        chain, secret = (self._folder / f"{self._count}.{self.file.stem}.{kind}" for kind in ("crt", "key"))
        chain.write_bytes(certificate.public_bytes(PEM))
        secret.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return TlsFiles(chain, secret, self.file)

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(hours=1))
        made = made.not_valid_after(now + dt.timedelta(hours=1)).add_extension(extension, critical=False)
        return made.sign(self._key, hashes.SHA256())


def settings(files: TlsFiles) -> Mapping[str, str]:
    named = {"CERT": files.certificate, "KEY": files.key, "CA": files.authority}
    return {f"HUBBUB_GRPC_TLS_{name}": str(path) for name, path in named.items() if path}


@asynccontextmanager
async def served(files: TlsFiles) -> AsyncIterator[str]:
    """Serve; returns the target."""
    config = load(ProcessConfig, {"HUBBUB_DRAIN_SECONDS": "1", **settings(files)})
    add: Any = lambda server: presence_grpc.add_PresenceServiceServicer_to_server(Answering(), server)  # type: ignore[abstract]  # noqa: E731
    async with serve(config, Address("127.0.0.1", 0), add, [NAME], callers=None) as port:
        yield f"localhost:{port}"


async def ask(channel: grpc.aio.Channel) -> None:
    await call(presence_grpc.PresenceServiceStub(channel).GetPresence, presence.GetPresenceRequest(), timeout=5)


async def connects(target: str, files: TlsFiles | None) -> bool:
    """Whether a new client is served."""
    async with open_channel(target, tls=files) as channel:
        try:
            await ask(channel)
        except Unavailable:
            return False
        return True


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


async def test_a_service_with_an_authority_serves_only_clients_with_its_certificates(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = replace(Authority(tmp_path, "other").issue(), authority=authority.file)
    async with served(authority.issue()) as target:
        assert await connects(target, authority.issue())
        assert not await connects(target, stranger)
        assert not await connects(target, TlsFiles(None, None, authority.file))
        assert not await connects(target, None)


async def test_a_client_talks_only_to_the_named_host_with_a_certificate_of_its_authority(
    authority: Authority, tmp_path: Path
) -> None:
    trusting = TlsFiles(None, None, authority.file)
    async with served(replace(authority.issue(), authority=None)) as target:
        assert await connects(target, trusting)
    async with served(replace(authority.issue("elsewhere"), authority=None)) as target:
        assert not await connects(target, trusting)
    async with served(replace(Authority(tmp_path, "other").issue(), authority=None)) as target:
        assert not await connects(target, trusting)


def put(new: TlsFiles, in_place_of: TlsFiles) -> None:
    """Replace files, as a certificate manager does."""
    for fresh, old in (
        (new.certificate, in_place_of.certificate),
        (new.key, in_place_of.key),
        (new.authority, in_place_of.authority),
    ):
        if fresh and old:
            draft = old.with_suffix(".draft")
            draft.write_bytes(fresh.read_bytes())
            draft.replace(old)


async def test_replaced_certificates_are_used_without_a_restart(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_tls, "RECHECK_SECONDS", 0.0)
    later = Authority(tmp_path, "later")
    server, client = authority.issue(), authority.issue()
    old_client = replace(authority.issue(), authority=later.file)
    async with served(server) as target, open_channel(target, tls=client) as channel:
        await ask(channel)
        put(later.issue(), server)
        put(later.issue(), client)
        await ask(channel)
        assert await connects(target, later.issue())
        assert not await connects(target, old_client)


async def test_files_that_are_gone_leave_the_old_certificates_in_use(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_tls, "RECHECK_SECONDS", 0.0)
    server, client, other = authority.issue(), authority.issue(), authority.issue()
    async with served(server) as target, open_channel(target, tls=client) as channel:
        for files in (server, client):
            assert files.certificate is not None
            files.certificate.unlink()
        await ask(channel)
        assert await connects(target, other)


OFF_LOOPBACK = Address("0.0.0.0", 9000)
TARGETS = {"HUBBUB_MEDIA_TARGET": "dns:///media:9000"}
PRODUCTION = {"HUBBUB_ENV": "production"}
FILES = {f"HUBBUB_GRPC_TLS_{name}": "/x" for name in ("CERT", "KEY", "CA")}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (PRODUCTION, "HUBBUB_GRPC_TLS_CERT is required where .*HUBBUB_GRPC_TLS_CA is required .*HUBBUB_MEDIA_TARGET"),
        ({**PRODUCTION, **FILES, "HUBBUB_GRPC_TLS_CA": ""}, "HUBBUB_GRPC_TLS_CA is required"),
        ({"HUBBUB_GRPC_TLS_CERT": "/x"}, "HUBBUB_GRPC_TLS_KEY are required together"),
        ({**FILES, "HUBBUB_GRPC_PLAINTEXT": "1"}, "HUBBUB_GRPC_PLAINTEXT contradicts"),
    ],
)
def test_a_process_refuses_to_start_with_plain_grpc_in_production(given: Mapping[str, str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        require_grpc_tls(load(ProcessConfig, given), OFF_LOOPBACK, TARGETS)


@pytest.mark.parametrize("given", [{}, {**PRODUCTION, **FILES}, {**PRODUCTION, "HUBBUB_GRPC_PLAINTEXT": "1"}])
def test_a_process_starts_with_tls_or_where_another_layer_encrypts(given: Mapping[str, str]) -> None:
    require_grpc_tls(load(ProcessConfig, given), OFF_LOOPBACK, TARGETS)


@pytest.mark.parametrize("target", ["127.0.0.1:9000", "dns:///localhost:9000", "ipv6:[::1]:9000", "unix:/run/media.sock", ""])
def test_plain_grpc_may_stay_on_the_machine(target: str) -> None:
    require_grpc_tls(load(ProcessConfig, PRODUCTION), Address("127.0.0.1", 9000), {"HUBBUB_MEDIA_TARGET": target})
