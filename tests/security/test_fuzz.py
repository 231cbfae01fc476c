"""A few thousand fixed inputs for every target of the coverage-guided fuzzer; `make fuzz` tries random ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import TARGETS

RUNS = 3_000


@pytest.mark.parametrize("target", TARGETS)
def test_a_parser_handles_every_input_of_the_fuzzer(target: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    command = [sys.executable, "-m", "tests.fuzz", target, "--runs", str(RUNS), "--folder", str(tmp_path)]
    ran = subprocess.run(
        command, env=os.environ | {"PYTHONHASHSEED": "0"}, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"Done {RUNS} runs" in ran.stderr
