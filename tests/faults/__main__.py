"""`make faults SECONDS=… SEED=…`: one run on a stack of its own. It ends with one line of figures.

Environment: SECONDS (60), SEED (random), GATEWAYS (2), WORKERS (2), FAULTS (a comma list; all), PAUSE (longest, 20 s).
Exits with 1 if a guarantee was broken; the record is then in test-results/.
"""

import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from stack import Stack
from stack.replica import Pair
from tests.faults.nemesis import FAULTS
from tests.faults.prover import prove, save

_DATABASES = ("messages", "media")


async def database_settings(pair: Pair) -> dict[str, str]:
    """Create the services' databases; return the settings that name them."""
    env: dict[str, str] = {}
    for name in _DATABASES:
        urls, prefix = await pair.primary.ensure_service_database(name), f"HUBBUB_{name.upper()}"
        env |= {f"{prefix}_DATABASE_URL": urls.service, f"{prefix}_SWEEPER_DATABASE_URL": urls.sweeper}
        env[f"{prefix}_MIGRATION_DATABASE_URL"] = urls.owner
    return env


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)  # noqa: T201


async def _run(data: Path) -> int:
    ask = os.environ.get
    seed = int(ask("SEED") or random.SystemRandom().randrange(2**32))
    seconds, pause = float(ask("SECONDS") or 60), float(ask("PAUSE") or 20)
    chosen = tuple(filter(None, (ask("FAULTS") or "").split(","))) or tuple(FAULTS)
    _say(f"seed {seed}")
    gateways, workers = int(ask("GATEWAYS") or 2), int(ask("WORKERS") or 2)
    async with Pair(data / "pair", data / "pair.log").serving() as pair:
        env = await database_settings(pair)
        async with Stack(data / "stack", gateways=gateways, workers=workers, env=env) as stack:
            verdict = await prove(stack, seconds, seed, faults=chosen, longest_pause_seconds=pause, pair=pair, say=_say)
    for finding in verdict.findings[:50]:
        _say(str(finding))
    if verdict.findings:
        _say(f"the record is {save(verdict, Path('test-results'))}")
    print(verdict.line)  # noqa: T201
    return 1 if verdict.findings else 0


def main() -> int:
    """Run in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="hubbub-faults-") as folder:
        data = Path(folder)
        data.chmod(0o711)  # PostgreSQL runs as another user
        return asyncio.run(_run(data))


if __name__ == "__main__":
    sys.exit(main())
