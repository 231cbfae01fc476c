"""A standby that lost the last seconds takes over while people write."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stack import Stack
from stack.replica import Pair
from tests.faults.__main__ import database_settings
from tests.faults.epoch_rules import lost
from tests.faults.nemesis import GO_BACK, Nemesis
from tests.faults.prover import judged, save

SEED = 20_261_129


@pytest.fixture
async def pair(server_data: Path) -> AsyncIterator[Pair]:
    async with Pair(server_data / "went-back", server_data / "went-back.log").serving() as serving:
        yield serving


async def test_every_reader_converges_on_the_log_of_a_store_that_went_back(pair: Pair, server_data: Path) -> None:
    async def inject(nemesis: Nemesis) -> None:
        nemesis.pair, nemesis.longest_pause_seconds = pair, 4.0
        for _ in range(2):
            await nemesis.inflict(GO_BACK)

    env = await database_settings(pair)
    async with Stack(server_data / "went-back-stack", gateways=2, workers=2, env=env) as stack:
        verdict = await judged(stack, inject, SEED)
    assert not verdict.findings, "\n".join([verdict.line, str(save(verdict, Path("test-results"))), *map(str, verdict.findings)])
    assert lost(verdict.record, verdict.logs) > 0, "nothing that was acknowledged was lost, so the run proves nothing"
    followed = [reading for reading in verdict.record.readings if reading.stretches and reading.stretches[-1].how != "log"]
    assert len(followed) >= 9  # of native clients: three of the Python client, each seen twice, and three others
    for reading in followed:
        began = {stretch.epoch: stretch.how for stretch in reversed(reading.stretches)}
        assert len(began) == 3, reading.reader
        _, *later = (began[epoch] for epoch in sorted(began))
        assert set(later) <= {"reset", "joined"}, f"{reading.reader} did not begin anew: {later}"
    assert len({step.epoch for step in verdict.record.feed if step.what == "reset"}) == 2
