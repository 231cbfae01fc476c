"""`python -m tests.fuzz TARGET`: fuzz one target until it fails, or for `--seconds` or `--runs`.

The same `--runs` and PYTHONHASHSEED give the same inputs. Inputs that reached new branches stay in `--folder`, where the next run
starts; the input of a failure is saved there as `crash-…`.
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
    "gateway.protocol.incoming",
    "gateway.identity.authentication",
    "gateway.identity.origin",
    "chassis.jwt",
    "chassis.context",
    "messages.convert",
    "messages.worker",
]
"""The modules whose branches guide the search."""
_WORD = re.compile(rb'"[^"]*"|[\w.-]+')
_SECONDS_OF_CPU = 0.5
"""The limit for one input."""
_MOST_BYTES = 4_096


class Target(Protocol):
    """The interface of a target module."""

    SEEDS: list[bytes]
    """The first inputs; their words form the dictionary."""

    def check(self, data: bytes) -> None:
        """Raise if the parser is wrong."""


def bounded(check: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """A check that also fails if it takes too long."""

    def run(data: bytes) -> None:
        started = time.thread_time()
        check(data)
        spent = time.thread_time() - started
        if spent > _SECONDS_OF_CPU:
            raise AssertionError(f"{spent:.1f} s for {len(data)} bytes")

    return run


def main() -> None:
    """Fuzz; ends the process, with status 0 if nothing was found."""
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
    """A word in the syntax of libFuzzer's dictionaries."""
    return "".join(f"\\x{byte:02x}" for byte in word)


main()
