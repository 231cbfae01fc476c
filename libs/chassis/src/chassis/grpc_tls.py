"""TLS between services: the files of a process, and credentials that follow these files when they are replaced.

A server reads its files again at the next handshake after a change, a client within `RECHECK_SECONDS`. Files that cannot be read
or parsed leave the old ones in use.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc
import structlog

from chassis.config import Address, ConfigError, ProcessConfig, is_loopback

RECHECK_SECONDS = 10.0
GRACE_SECONDS = 30.0
"""Time for the calls of a client's old connection. A stream ends then, and its owner opens it again."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. With an authority, both ends of a connection must have a certificate that it signed."""

    certificate: Path | None
    key: Path | None
    authority: Path | None

    @classmethod
    def of(cls, config: ProcessConfig) -> TlsFiles:
        """The files that the settings name."""
        return cls(config.grpc_tls_cert, config.grpc_tls_key, config.grpc_tls_ca)

    def read(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """The contents of certificate, key and authority. Raises `OSError`."""
        certificate, key, authority = (each.read_bytes() if each else None for each in self._paths())
        return certificate, key, authority

    def version(self) -> tuple[tuple[int, int, int], ...]:
        """A value that changes when a file is replaced. Raises `OSError`."""
        stats = [each.stat() for each in self._paths() if each]
        return tuple((each.st_mtime_ns, each.st_ino, each.st_size) for each in stats)

    def _paths(self) -> tuple[Path | None, Path | None, Path | None]:
        return self.certificate, self.key, self.authority


def require_grpc_tls(config: ProcessConfig, listen: Address | None = None, targets: Mapping[str, str] | None = None) -> None:
    """Raise `ConfigError` for files that do not belong together, and in production for plain gRPC off loopback.

    `targets` are the addresses of other services by the names of their settings. `HUBBUB_GRPC_PLAINTEXT=1` says that the network
    encrypts.
    """
    problems = []
    files = TlsFiles.of(config)
    if (files.certificate is None) != (files.key is None):
        problems.append("HUBBUB_GRPC_TLS_CERT and HUBBUB_GRPC_TLS_KEY are required together")
    if config.grpc_plaintext and any((files.certificate, files.authority)):
        problems.append("HUBBUB_GRPC_PLAINTEXT contradicts HUBBUB_GRPC_TLS_CERT and HUBBUB_GRPC_TLS_CA")
    if config.production and not config.grpc_plaintext:
        where = "where HUBBUB_ENV=production and gRPC leaves the machine, unless HUBBUB_GRPC_PLAINTEXT=1"
        if listen is not None and not is_loopback(listen.host) and files.certificate is None:
            problems.append(f"HUBBUB_GRPC_TLS_CERT is required {where}")
        distant = [name for name, target in (targets or {}).items() if target and not is_loopback(_host(target))]
        if distant and files.authority is None:
            problems.append(f"HUBBUB_GRPC_TLS_CA is required {where}: {', '.join(distant)}")
    if problems:
        raise ConfigError(problems)


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Credentials of a server. Raises `OSError` if a file cannot be read."""
    seen = files.version()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal seen
        try:
            now = files.version()
            if now == seen:
                return None
            found = _configuration(files)
        except OSError as error:
            log.warning("grpc_certificate_unreadable", error=type(error).__name__)
            return None
        seen = now
        log.info("grpc_certificate_replaced")
        return found

    return grpc.dynamic_ssl_server_credentials(
        _configuration(files),
        changed,  # type: ignore[arg-type]  # None keeps the present one, as its documentation says
        require_client_authentication=files.authority is not None,
    )


def _configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    certificate, key, authority = files.read()
    return grpc.ssl_server_certificate_configuration([(key or b"", certificate or b"")], root_certificates=authority)


def client_channel(files: TlsFiles, open_: Callable[[grpc.ChannelCredentials], grpc.aio.Channel]) -> grpc.aio.Channel:
    """A channel that connects anew when its files are replaced. Raises `OSError` if a file cannot be read."""
    return _TlsChannel(files, open_)


class _TlsChannel(grpc.aio.Channel):
    """The present channel, and those whose calls are ending."""

    def __init__(self, files: TlsFiles, open_: Callable[[grpc.ChannelCredentials], grpc.aio.Channel]) -> None:
        self._files = files
        self._open = open_
        self._seen = files.version()
        self._channel = open_(self._credentials())
        self._checked_at = time.monotonic()
        self._closing: set[asyncio.Task[None]] = set()
        """Old channels whose calls are ending."""

    def current(self) -> grpc.aio.Channel:
        """The channel for a new call."""
        now = time.monotonic()
        if now - self._checked_at >= RECHECK_SECONDS:
            self._checked_at = now
            self._follow_files()
        return self._channel

    def _follow_files(self) -> None:
        try:
            version = self._files.version()
            if version == self._seen:
                return
            credentials = self._credentials()
        except OSError as error:
            log.warning("grpc_certificate_unreadable", error=type(error).__name__)
            return
        old, self._channel, self._seen = self._channel, self._open(credentials), version
        closing = asyncio.get_running_loop().create_task(old.close(GRACE_SECONDS))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        log.info("grpc_certificate_replaced")

    def _credentials(self) -> grpc.ChannelCredentials:
        certificate, key, authority = self._files.read()
        return grpc.ssl_channel_credentials(authority, key, certificate)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        for closing in self._closing:
            closing.cancel()
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    def unary_unary(self, method: str, *shape: Any, **shapes: Any) -> Any:
        return _TlsMethod(self, lambda channel: channel.unary_unary(method, *shape, **shapes), method)

    def unary_stream(self, method: str, *shape: Any, **shapes: Any) -> Any:
        return _TlsMethod(self, lambda channel: channel.unary_stream(method, *shape, **shapes), method)

    def stream_unary(self, method: str, *shape: Any, **shapes: Any) -> Any:
        return _TlsMethod(self, lambda channel: channel.stream_unary(method, *shape, **shapes), method)

    def stream_stream(self, method: str, *shape: Any, **shapes: Any) -> Any:
        return _TlsMethod(self, lambda channel: channel.stream_stream(method, *shape, **shapes), method)


class _TlsMethod:
    """A method on the current channel."""

    def __init__(self, channel: _TlsChannel, make: Callable[[grpc.aio.Channel], Any], method: str) -> None:
        self._channel = channel
        self._make = make
        self._method = method
        self._made_for: grpc.aio.Channel | None = None
        self._call: Any = None

    def __call__(self, *request: Any, **options: Any) -> Any:
        channel = self._channel.current()
        if channel is not self._made_for:
            self._made_for, self._call = channel, self._make(channel)
        return self._call(*request, **options)


def _host(target: str) -> str:
    if target.startswith("unix:"):
        return "localhost"
    address = target.rpartition("/")[2].removeprefix("ipv4:").removeprefix("ipv6:")
    return address.rpartition(":")[0] or address
