"""Our clients pass every scenario, the kit finds planted defects, and docs/clients.md names what there is.

Everything is played side by side, once: scenarios wait for deadlines and delays, not for the processor.
"""

import asyncio
import dataclasses
import re
import sys
from pathlib import Path
from typing import get_args

import pytest
import pytest_asyncio

from gateway.protocol import incoming
from tests.conformance.__main__ import judge
from tests.conformance.adapters.faulty import DEFECTS
from tests.conformance.check import ANY, FIELDS
from tests.conformance.lines import started
from tests.conformance.player import Verdict
from tests.conformance.scenario import scenarios

ROOT = Path(__file__).parents[2]
ADAPTERS = Path(__file__).with_name("adapters")
SCENARIOS = {one.name: one for one in scenarios()}
PATIENCE_SECONDS = 60.0
"""Above what a client takes on a busy machine. A defect is found by what a client does, without waiting so long."""
PAGE = ROOT / "docs" / "clients.md"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def verdicts() -> dict[str, list[Verdict]]:
    """The verdicts on our clients, and on the Python client with each defect."""
    everything = list(SCENARIOS.values())
    defective = [dataclasses.replace(SCENARIOS[name], name=f"{name}/{defect}") for defect, (_, name, _) in DEFECTS.items()]
    web = ["node", str(ADAPTERS / "web_client.mjs")]
    python, faulty = ([sys.executable, "-m", f"tests.conformance.adapters.{name}"] for name in ("python_client", "faulty"))
    return dict(
        zip(
            ("web", "python", "faulty"),
            await asyncio.gather(
                judge(everything, started(web), PATIENCE_SECONDS),
                judge(everything, started(python), PATIENCE_SECONDS),
                judge(defective, started(faulty), PATIENCE_SECONDS),
            ),
            strict=True,
        )
    )


@pytest.mark.parametrize("client", ["web", "python"])
async def test_our_client_passes_every_scenario(verdicts: dict[str, list[Verdict]], client: str) -> None:
    assert len(verdicts[client]) == len(SCENARIOS)
    assert [str(verdict) for verdict in verdicts[client] if verdict.wrong] == []


@pytest.mark.parametrize("defect", DEFECTS)
async def test_the_kit_finds_a_planted_defect_and_says_what_was_wrong(verdicts: dict[str, list[Verdict]], defect: str) -> None:
    (verdict,) = (one for one in verdicts["faulty"] if one.scenario.name.endswith(f"/{defect}"))
    assert verdict.wrong is not None
    assert DEFECTS[defect][2] in verdict.wrong
    assert verdict.scenario.rule in str(verdict)


async def test_the_page_names_the_scenarios_of_each_rule() -> None:
    table = PAGE.read_text().split("## The rules")[1].split("\n## ")[0]
    named = set(re.findall(r"`([a-z0-9-]+)`", " ".join(row.split("|")[2] for row in table.splitlines() if row.startswith("| "))))
    families = {re.sub(r"-(\d+|[A-Z_]+)$", "", name) for name in SCENARIOS}
    assert named - {"scenarios"} == families


async def test_a_run_whose_adapter_ends_at_once_fails_and_says_so() -> None:
    command = [sys.executable, "-m", "tests.conformance", "run", "--scenario", "live", "--", "true"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 1
    assert re.match(
        r"FAIL  live: step 2 \(open\): the adapter ended; .*\n      rule: Events are delivered in order", out.decode()
    )


async def test_the_kit_knows_the_frames_of_the_gateway() -> None:
    accepted = {frame.__struct_config__.tag: set(frame.__struct_fields__) for frame in get_args(incoming.Frame)}
    assert accepted == {kind: fields | (ANY - {"type"}) for kind, fields in FIELDS.items()}
