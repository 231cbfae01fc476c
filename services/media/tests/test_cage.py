"""The decoder can reach nothing, and its crash is no verdict."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hubbub.media.v1 import media_pb2 as nouns
from services.media.tests.conftest import Harness, image

_ATTEMPTS = {
    "its parent's environment": "open(f'/proc/{os.getppid()}/environ')",
    "a file": "open('/etc/passwd')",
    "a new file": "open('/tmp/hubbub-cage', 'w')",
    "its input, for writing": "open('/proc/self/fd/0', 'wb')",
    "a folder": "os.listdir('/')",
    "whether a file exists": "os.stat('/etc/passwd')",
    "removing a file": "os.unlink('/tmp/hubbub-cage')",
    "a link": "os.symlink('/etc/passwd', '/tmp/hubbub-cage')",
    "an anonymous file": "os.memfd_create('x')",
    "UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "TCP": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "a Unix socket": "socket.socketpair()",
    "fork": "os.fork()",
    "a thread": "_thread.start_new_thread(print, ())",
    "a program": "os.execv('/bin/true', ['true'])",
    "posix_spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "a signal to its parent": "os.kill(os.getppid(), 0)",
    "a signal to a thread": "call('tgkill', os.getppid(), os.getppid(), 0)",
    "a queued signal": "call('rt_sigqueueinfo', os.getppid(), 0, 0)",
    "tracing its parent": "call('ptrace', 16, os.getppid(), 0, 0)",
    "its parent's memory": "call('process_vm_readv', os.getppid(), 0, 0, 0, 0, 0)",
    "a pidfd": "os.pidfd_open(os.getppid())",
    "io_uring": "call('io_uring_setup', 1, 0)",
    "BPF": "call('bpf', 0, 0, 0)",
    "namespaces": "call('unshare', 0x10000000)",
    "mounting": "call('mount', 0, 0, 0, 0, 0)",
    "keys": "call('add_key', 0, 0, 0, 0, 0)",
    "its parent's limits": "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
    "a pipe": "os.pipe()",
    "duplicating a file": "os.dup(0)",
    "ioctl": "fcntl.ioctl(0, 0x5401)",
}
_PROBE = """
import _thread, ctypes, fcntl, os, resource, socket, sys
from media.cage import confine

libc, seccomp = ctypes.CDLL(None, use_errno=True), ctypes.CDLL("libseccomp.so.2")

def call(name, *arguments):
    if libc.syscall(numbers[name], *arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

names = ("tgkill", "rt_sigqueueinfo", "ptrace", "process_vm_readv", "io_uring_setup", "bpf", "unshare", "mount", "add_key")
numbers = {name: seccomp.seccomp_syscall_resolve_name(name.encode()) for name in names}
attempt = compile(sys.argv[1], "attempt", "exec")
confine(memory_bytes=1024**3, cpu_seconds=5, file_bytes=1024)
try:
    exec(attempt)
except PermissionError:
    os.write(1, b"refused")
except RuntimeError as error:  # Python's words for a thread that cannot be started
    os.write(1, b"refused" if "thread" in str(error) else b"")
"""


@pytest.mark.parametrize("attempt", _ATTEMPTS)
def test_a_confined_process_is_refused(attempt: str) -> None:
    argv = [sys.executable, "-I", "-c", _PROBE, _ATTEMPTS[attempt]]
    done = subprocess.run(argv, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    assert (done.stdout, done.returncode) == (b"refused", 0), done.stderr


@pytest.mark.parametrize(
    ("program", "end"),
    [
        ("while True: pass", -signal.SIGXCPU),
        ("bytearray(2 * 1024**3)", 1),
        ("os.write(1, b'x' * 2048)", 0),
    ],
    ids=["processor time", "memory", "file size"],
)
def test_a_confined_process_is_bounded(program: str, end: int, tmp_path: Path) -> None:
    code = f"import os; from media.cage import confine; confine(memory_bytes=1024**3, cpu_seconds=1, file_bytes=1024)\n{program}"
    with (tmp_path / "output").open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-I", "-c", code], stdout=output, stderr=subprocess.DEVNULL, timeout=60, check=False
        )
    assert done.returncode == end
    assert (tmp_path / "output").stat().st_size <= 1024


_BESIDE_GRPC = """
import asyncio, sys, tempfile
from pathlib import Path
import grpc, uvloop
from media.images import check

async def main():
    server = grpc.aio.server()
    echo = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x.X", {"E": echo}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    done = False
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/x.X/E")

        async def load():
            while not done:
                await call(b"x")

        async def decode():
            for _ in range(25):
                with tempfile.TemporaryDirectory() as folder:
                    await check(Path(folder))

        loads = [asyncio.create_task(load()) for _ in range(4)]
        await asyncio.gather(*(decode() for _ in range(4)))
        done = True
        await asyncio.gather(*loads)
    await server.stop(None)

async def answer(request, _context):
    return request

uvloop.run(main())
"""


def test_decoders_do_not_crash_beside_busy_grpc_threads() -> None:
    done = subprocess.run([sys.executable, "-c", _BESIDE_GRPC], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "decoder_crashed" not in done.stdout + done.stderr


def _decoders() -> set[int]:
    """Decoders that this process runs."""
    found = set()
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            try:
                if b"media.decoder" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.add(int(child))
            except FileNotFoundError:
                continue
    return found


async def _kill_decoders(number: int) -> None:
    killed: set[int] = set()
    while len(killed) < number:
        for child in _decoders() - killed:
            os.kill(child, signal.SIGKILL)
            killed.add(child)
        await asyncio.sleep(0)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(("crashes", "state"), [(1, nouns.UPLOAD_STATE_CLEAN), (3, nouns.UPLOAD_STATE_SCANNING)])
async def test_a_crash_of_the_decoder_does_not_block_a_good_picture(harness: Harness, crashes: int, state: int) -> None:
    upload = await harness.completed(image("PNG", (4_900, 4_900)), "image/png")
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(_kill_decoders(crashes))
        examined = await harness.scan.examine_next()
    assert examined is (state == nouns.UPLOAD_STATE_CLEAN)
    assert (await harness.get(upload)).state == state
    await harness.execute("UPDATE uploads SET scan_lease_until = now() WHERE id = %s", upload)
    if not examined:
        assert await harness.scan.examine_next()
    assert (await harness.get(upload)).state == nouns.UPLOAD_STATE_CLEAN
