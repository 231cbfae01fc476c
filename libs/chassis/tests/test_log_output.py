"""A log line never blocks its process, and is written or counted as dropped."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import sys
from collections.abc import Iterator

import pytest

from chassis.log_output import LogOutput
from chassis.metrics import LOG_DROPPED

LINE = "x" * 999 + "\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The two ends of a pipe with the smallest buffer."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, select.PIPE_BUF)
    yield reader, writer
    os.close(writer)
    os.close(reader)


def dropped() -> float:
    (sample, *_) = next(iter(LOG_DROPPED.collect())).samples
    return sample.value


def read(reader: int, count: int) -> bytes:
    found = b""
    while len(found) < count:
        found += os.read(reader, count - len(found))
    return found


def test_lines_that_the_reader_does_not_take_wait_in_order(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    output = LogOutput(writer)
    lines = [f"{number:04d}{LINE}" for number in range(200)]
    for line in lines:
        output.write(line)  # would block after four
    assert read(reader, len("".join(lines))).decode() == "".join(lines)
    assert output.wait(10)


def test_lines_beyond_the_bound_are_dropped_and_counted(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    output, before = LogOutput(writer, 10 * len(LINE)), dropped()
    for _ in range(100):
        output.write(LINE)
    lost = int(dropped() - before)
    assert 80 <= lost <= 90  # what is neither in the pipe, nor in the hand of the thread, nor waits
    read(reader, (100 - lost) * len(LINE))
    assert output.wait(10)
    output.write("again\n")
    assert read(reader, 6) == b"again\n"


def test_a_line_longer_than_the_pipe_arrives_whole(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    output = LogOutput(writer)
    line = "y" * 50_000 + "\n"
    output.write(line)
    output.write("next\n")
    assert read(reader, len(line) + 5).decode() == line + "next\n"


def test_a_reader_that_is_gone_does_not_fail_the_caller() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    output = LogOutput(writer)
    output.write(LINE)
    assert output.wait(10)
    os.close(writer)


def test_what_waits_at_the_end_of_the_process_is_written() -> None:
    script = "from chassis.log_output import LogOutput; [LogOutput(1).write('z' * 99_999) for _ in 'ab']"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=30)
    assert len(ended.stdout) == 2 * 99_999
