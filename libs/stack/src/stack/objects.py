"""An S3 server from a wheel (SeaweedFS): its ports, credentials and bucket."""

import contextlib
import hashlib
import hmac
import json
import os
import shutil
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stack import credentials, ports, probes
from stack.errors import NotReadyError
from stack.process import Command, running

REGION = "us-east-1"
_GRPC_OFFSET = 10_000  # SeaweedFS hard-codes this offset in places
_MAX_SOCKET_PATH = 107  # unix(7)
_COMPONENTS = ("master", "volume", "filer", "s3", "admin")
_ACTIONS = ("Admin", "Read", "Write", "List", "Tagging")


@dataclass(frozen=True, slots=True)
class Objects:
    """One server with one bucket and one identity. Every request needs a signature."""

    folder: Path
    """Data folder, created by `prepare`."""
    secrets: Path
    """Folder of the generated access keys."""
    listen: tuple[int, ...]
    """Loopback ports, one per component. Each component also uses the port 10,000 above. See `choose_ports`."""
    bucket: str = "hubbub"
    """Created at start."""
    origins: Sequence[str] = ()
    """Allowed web origins (CORS)."""

    @staticmethod
    def choose_ports() -> tuple[int, ...]:
        """Return free ports for `listen`."""
        return tuple(ports.free(len(_COMPONENTS), offsets=(0, _GRPC_OFFSET)))

    @property
    def endpoint(self) -> str:
        """URL for S3 clients (path style)."""
        return f"http://{ports.LOOPBACK}:{self._port('s3')}"

    @property
    def access_key(self) -> str:
        """The identity's access key."""
        return credentials.password(self.secrets / "objects-access-key")

    @property
    def secret_key(self) -> str:
        """The identity's secret key."""
        return credentials.password(self.secrets / "objects-secret-key")

    async def prepare(self) -> None:
        """Create the folder and write the credentials."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        identity = {
            "name": "media",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": [f"{action}:{self.bucket}" for action in _ACTIONS],
        }
        credentials.write_private(self._identities(), json.dumps({"identities": [identity]}).encode())

    def command(self) -> Command:
        """Return the command to run after `prepare`."""
        listening = [
            option
            for component in _COMPONENTS
            for option in (
                f"-{component}.port={self._port(component)}",
                f"-{component}.port.grpc={self._port(component) + _GRPC_OFFSET}",
            )
        ]
        return Command(
            name="objects",
            quiet=True,
            argv=(
                str(_program()),
                "mini",
                f"-dir={self.folder}",
                f"-ip={ports.LOOPBACK}",
                f"-ip.bind={ports.LOOPBACK}",
                *listening,
                f"-filer.localSocket={self._socket('filer')}",
                f"-s3.localSocket={self._socket('s3')}",
                "-volume.preStopSeconds=0",  # no other server needs the notice
                "-disableHttp=true",  # the filer would serve objects without authentication
                "-master.telemetry=false",
                "-admin.ui=false",
                "-webdav=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-s3.autoCreateBucket=false",
                f"-s3.config={self._identities()}",
                f"-s3.allowedOrigins={','.join(self.origins)}",
                f"-bucket={self.bucket}",
            ),
            ready=self._answers,
        )

    def _port(self, component: str) -> int:
        return self.listen[_COMPONENTS.index(component)]

    def _socket(self, component: str) -> Path:
        """Return the path of a Unix socket, which the server always creates.

        Its default folder is shared by all users, and the server would fail on another user's leftover socket.
        """
        beside = self.folder / f"{component}.sock"
        if len(os.fsencode(beside)) <= _MAX_SOCKET_PATH:
            return beside
        private = Path(tempfile.gettempdir()) / f"hubbub-{os.geteuid()}"
        private.mkdir(mode=0o700, exist_ok=True)
        return private / f"{component}-{hashlib.sha256(os.fsencode(beside)).hexdigest()[:16]}.sock"

    def _identities(self) -> Path:
        return self.folder / "identities.json"

    async def _answers(self) -> bool:
        """Return whether a signed HEAD request for the bucket succeeds."""
        request = _signed_head(f"{ports.LOOPBACK}:{self._port('s3')}", f"/{self.bucket}", self.access_key, self.secret_key)
        status = await probes.lines(ports.LOOPBACK, self._port("s3"), request, 1)
        return bool(status) and status[0].split(b" ")[1:2] == [b"200"]


@contextlib.asynccontextmanager
async def objects(data: Path, origins: Sequence[str] = ("*",)) -> AsyncIterator[Objects]:
    """Run an object store inside the block, with its data under `data`, on free ports."""
    data.mkdir(mode=0o711, parents=True, exist_ok=True)
    server = Objects(data / "objects", data / "secrets", Objects.choose_ports(), origins=origins)
    await server.prepare()
    async with running(server.command(), data / "objects.log"):
        yield server


def _program() -> Path:
    path = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", "")))
    program = shutil.which("weed", path=path)
    if program is None:
        raise NotReadyError("objects", "is not installed")
    return Path(program)


def _signed_head(host: str, path: str, access_key: str, secret_key: str) -> bytes:
    """Return a HEAD request signed with AWS Signature Version 4."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{REGION}/s3/aws4_request"
    empty = hashlib.sha256(b"").hexdigest()
    signed = "host;x-amz-content-sha256;x-amz-date"
    canonical = f"HEAD\n{path}\n\nhost:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{moment}\n\n{signed}\n{empty}"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return (
        f"HEAD {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"x-amz-date: {moment}\r\nx-amz-content-sha256: {empty}\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={signed}, Signature={signature}\r\n\r\n"
    ).encode()
