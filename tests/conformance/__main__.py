"""`python -m tests.conformance run [--scenario …] -- adapter …` tests a client, `serve --scenario …` plays one by hand.

`run` starts the adapter and speaks with it over its standard input and output.
`serve` speaks on its own: commands to the client appear on standard output, and reports are read from standard input.
Exits with 1 if the client fails.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from tests.conformance.lines import Adapter, on_own_streams, started
from tests.conformance.player import PATIENCE_SECONDS, Verdict, play
from tests.conformance.scenario import Scenario, scenarios


async def judge(
    chosen: Sequence[Scenario], adapter: AbstractAsyncContextManager[Adapter], patience_seconds: float = PATIENCE_SECONDS
) -> list[Verdict]:
    """Play scenarios side by side with one adapter."""
    async with adapter as opened, asyncio.TaskGroup() as group:
        playing = [group.create_task(play(each, opened, patience_seconds)) for each in chosen]
    return [task.result() for task in playing]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance", usage="%(prog)s {run,serve,list} [--scenario NAME] [-- adapter …]"
    )
    parser.add_argument("verb", choices=("run", "serve", "list"))
    parser.add_argument("--scenario", action="append", help="play this one; may be repeated")
    own, adapter = sys.argv[1:], []
    if "--" in own:
        own, adapter = own[: own.index("--")], own[own.index("--") + 1 :]
    chosen = parser.parse_args(own)
    found = [one for one in scenarios() if chosen.scenario is None or one.name in chosen.scenario]
    if not found:
        parser.error("there is no such scenario")
    if chosen.verb == "list":
        print(*(f"{one.name:24} {one.rule}" for one in found), sep="\n")  # noqa: T201
        return 0
    if chosen.verb == "run" and not adapter:
        parser.error("name the adapter program after `--`")
    if chosen.verb == "serve" and len(found) != 1:
        parser.error("name one scenario")
    verdicts = asyncio.run(judge(found, started(adapter) if chosen.verb == "run" else on_own_streams()))
    print(*verdicts, sep="\n", file=sys.stdout if chosen.verb == "run" else sys.stderr)
    return 1 if any(one.wrong for one in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
