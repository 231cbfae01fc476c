"""`python -m tests.fuzz TARGET`: fuzz one target until it fails or enough was tried.

`--seconds` or `--runs` say what is enough; with the same `--runs` and PYTHONHASHSEED the same inputs are tried. What was found
interesting stays in `--folder` and is where the next run begins; the input of a failure is left there too, as `crash-…`.
"""

import argparse
import importlib
import logging
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

import atheris
import structlog

from tests.fuzz import TARGETS

_READERS = [
    "gateway.inbound",
    "gateway.auth",
    "gateway.origin",
    "chassis.jwt",
    "chassis.context",
    "messages.convert",
    "messages.worker",
]
"""The modules whose branches guide the search."""
_WORD = re.compile(rb'"[^"]*"|[\w.-]+')
_SECONDS_OF_CPU = 0.5
"""For one input."""
_MOST_BYTES = 4_096


class Target(Protocol):
    """A module with a harness."""

    SEEDS: list[bytes]
    """Inputs to begin with; their words make more."""

    def check(self, data: bytes) -> None:
        """Raise for what must not be."""


def bounded(check: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """The check, which fails too where it takes too long."""

    def run(data: bytes) -> None:
        started = time.thread_time()
        check(data)
        spent = time.thread_time() - started
        if spent > _SECONDS_OF_CPU:
            raise AssertionError(f"{spent:.1f} s for {len(data)} bytes")

    return run


def main() -> None:
    """Fuzz; ends the process, with 0 where nothing was found."""
    wanted = _arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with atheris.instrument_imports(include=_READERS):
        target = cast("Target", importlib.import_module(f"tests.fuzz.{wanted.target}"))
    corpus, words = wanted.folder / wanted.target, wanted.folder / f"{wanted.target}.words"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.SEEDS):
        (corpus / f"seed-{number}").write_bytes(seed)
    words.write_text("".join(sorted(f'"{_escaped(word)}"\n' for word in set(_WORD.findall(b" ".join(target.SEEDS))))))
    options = {
        "runs": wanted.runs,
        "max_total_time": wanted.seconds,
        "max_len": _MOST_BYTES,
        "seed": 1,
        "dict": words,
        "artifact_prefix": f"{wanted.folder}/{wanted.target}-",
    }
    atheris.Setup([sys.argv[0], *(f"-{name}={value}" for name, value in options.items()), str(corpus)], bounded(target.check))
    atheris.Fuzz()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--runs", type=int, default=-1)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path(".make/fuzz"))
    return parser.parse_args()


def _escaped(word: bytes) -> str:
    """A word as libFuzzer's dictionaries spell it."""
    return "".join(f"\\x{byte:02x}" for byte in word)


main()
