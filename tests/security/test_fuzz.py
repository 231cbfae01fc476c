"""A few thousand inputs for every target of the coverage-guided fuzzer, the same each time; `make fuzz` goes on from there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import TARGETS

RUNS = 3_000


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_makes_a_reader_do_what_it_must_not(target: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    command = [sys.executable, "-m", "tests.fuzz", target, "--runs", str(RUNS), "--folder", str(tmp_path)]
    ran = subprocess.run(
        command, env=os.environ | {"PYTHONHASHSEED": "0"}, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"Done {RUNS} runs" in ran.stderr
