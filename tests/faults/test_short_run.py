"""The delivery contract under a short run of faults with a fixed seed. `make faults SECONDS=… SEED=…` runs longer ones."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stack import Stack
from tests.faults.nemesis import FAULTS, WITH_A_STANDBY
from tests.faults.prover import prove, save

SEED = 20_261_124
SECONDS = 35


@pytest.fixture
async def stack(server_data: Path) -> AsyncIterator[Stack]:
    async with Stack(server_data / "faults", gateways=2, workers=2) as running:
        yield running


async def test_every_guarantee_holds_under_faults_of_every_kind(stack: Stack) -> None:
    verdict = await prove(stack, SECONDS, SEED, longest_pause_seconds=3.0, say=lambda text: print(text, file=sys.stderr))  # noqa: T201
    assert not verdict.findings, "\n".join([verdict.line, str(save(verdict, Path("test-results"))), *map(str, verdict.findings)])
    assert verdict.acknowledged > 100, verdict.line
    assert len(set(verdict.record.faults)) > len(FAULTS.keys() - WITH_A_STANDBY) / 2, verdict.record.faults
