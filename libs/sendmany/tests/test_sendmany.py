"""Both implementations on real sockets: every byte is sent or reported."""

import contextlib
import gc
import shutil
import socket
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import sendmany
from sendmany import send_nothing

Send = Callable[[Sequence[int], Sequence[bytes]], list[tuple[int, int]]]
WAYS = [pytest.param(sendmany.send_each, id="installed"), pytest.param(send_nothing, id="nothing")]


@contextlib.contextmanager
def pairs(count: int) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Connected sockets; the first of each pair sends without blocking."""
    with contextlib.ExitStack() as open_sockets:
        found = [socket.socketpair() for _ in range(count)]
        for pair in found:
            for each in pair:
                open_sockets.enter_context(each)
            pair[0].setblocking(False)
        yield found


def received(end: socket.socket, size: int) -> bytes:
    """Read exactly this many bytes."""
    data = b""
    while len(data) < size:
        data += end.recv(size - len(data))
    return data


def test_it_is_compiled_where_there_is_a_compiler() -> None:
    able = shutil.which("cc") is not None and (Path(sysconfig.get_path("include")) / "Python.h").exists()
    assert sendmany.NATIVE is able


@pytest.mark.parametrize("send", WAYS)
def test_every_byte_is_either_sent_or_reported(send: Send) -> None:
    with pairs(300) as found:
        chunks = [b"%d" % index * (index + 1) for index in range(300)]
        left = dict(send([sender.fileno() for sender, _ in found], chunks))
        for index, ((sender, receiver), chunk) in enumerate(zip(found, chunks, strict=True)):
            sent = left.get(index, len(chunk))
            assert received(receiver, sent) == chunk[:sent]
            sender.sendall(chunk[sent:])
            assert received(receiver, len(chunk) - sent) == chunk[sent:]


@pytest.mark.parametrize("send", WAYS)
def test_bytes_that_a_full_socket_does_not_accept_are_reported(send: Send) -> None:
    with pairs(1) as [(sender, receiver)]:
        chunk = bytes(range(256)) * 65_536
        [(index, sent)] = send([sender.fileno()], [chunk])
        assert index == 0
        assert 0 <= sent < len(chunk)
        assert received(receiver, sent) == chunk[:sent]
        assert send([sender.fileno()], [b""]) in ([], [(0, 0)])


@pytest.mark.parametrize("send", WAYS)
def test_a_closed_socket_does_not_affect_the_others(send: Send) -> None:
    with pairs(3) as found:
        files = [sender.fileno() for sender, _ in found]
        found[1][1].close()
        left = dict(send(files, [b"one", b"two", b"three"]))
        assert left[1] == 0
        for index, chunk in ((0, b"one"), (2, b"three")):
            sent = left.get(index, len(chunk))
            assert received(found[index][1], sent) == chunk[:sent]


@pytest.mark.parametrize("send", WAYS)
def test_minus_one_is_not_a_socket(send: Send) -> None:
    assert send([-1, -1], [b"one", b"two"]) == [(0, 0), (1, 0)]
    assert send([], []) == []


@pytest.mark.parametrize("send", WAYS)
def test_lists_of_different_length_are_refused(send: Send) -> None:
    with pytest.raises(ValueError, match="one chunk for each"):
        send([-1], [])


needs_native = pytest.mark.skipif(not sendmany.NATIVE, reason="there is no compiler")


@needs_native
def test_the_compiled_one_sends_itself() -> None:
    with pairs(2) as found:
        assert sendmany.send_each([sender.fileno() for sender, _ in found], [b"one", b"two"]) == []
        assert [receiver.recv(10) for _, receiver in found] == [b"one", b"two"]


@needs_native
@pytest.mark.parametrize(
    ("files", "chunks"),
    [([0], ["text"]), ([0], [bytearray(b"x")]), ([0], [None]), (["0"], [b"x"]), ([-2], [b"x"]), ([1 << 40], [b"x"]), (7, [b"x"])],
)
def test_the_compiled_one_refuses_what_it_cannot_send(files: Sequence[int], chunks: Sequence[bytes]) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        sendmany.send_each(files, chunks)


@needs_native
def test_the_compiled_one_leaks_no_references() -> None:
    with pairs(1) as [(sender, receiver)]:
        chunk, files = b"x" * 100, [sender.fileno(), -1]
        gc.collect()
        before = sys.getrefcount(chunk)
        for _ in range(100):
            assert sendmany.send_each(files, [chunk, chunk]) == [(1, 0)]
            received(receiver, 100)
        assert sys.getrefcount(chunk) == before


@needs_native
def test_lists_may_be_changed_while_it_sends() -> None:
    with pairs(1) as [(sender, receiver)]:
        chunks, files, ended = [b"x" * 1_000 for _ in range(200)], [sender.fileno()] * 200, threading.Event()

        def change() -> None:
            while not ended.is_set():
                chunks[:] = [b"x" * 1_000 for _ in range(200)]
                receiver.recv(1 << 20)

        changing = threading.Thread(target=change)
        changing.start()
        try:
            for _ in range(200):
                assert all(0 <= sent < 1_000 for _, sent in sendmany.send_each(files, chunks))
        finally:
            ended.set()
            sender.setblocking(True)
            sender.sendall(b"the end")
            changing.join()
