"""Writes the report: a Markdown page, plots, and the figures as JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.outcome import Outcome, Table, Target
from bench.svg import number


def write(
    folder: Path, machine: Mapping[str, str], command: str, outcomes: Sequence[Outcome], failures: Mapping[str, str]
) -> Path:
    """Write report.md, figures.json and the plots into `folder`. Return the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    for outcome in outcomes:
        for name, plot in outcome.plots.items():
            (folder / f"{name}.svg").write_text(plot)
    (folder / "figures.json").write_text(json.dumps(_figures(machine, outcomes), indent=1) + "\n")
    page = folder / "report.md"
    page.write_text("\n".join(_page(machine, command, outcomes, failures)))
    return page


def _page(machine: Mapping[str, str], command: str, outcomes: Sequence[Outcome], failures: Mapping[str, str]) -> Iterable[str]:
    yield "# Benchmark report"
    yield ""
    yield f"Written by `{command}`. Each section describes its method. [bench/README.md](../README.md) explains how to read it."
    yield ""
    yield from (f"- {name}: {text}" for name, text in machine.items())
    yield ""
    yield "## Targets"
    yield ""
    yield "| what | measured | target | |"
    yield "|---|---|---|---|"
    yield from (_verdict(target) for outcome in outcomes for target in outcome.targets)
    yield ""
    for name, problem in failures.items():
        yield f"**{name}** could not be measured: {problem}"
        yield ""
    for outcome in outcomes:
        yield from _section(outcome)


def _verdict(target: Target) -> str:
    sign = "≤" if target.at_most else "≥"
    return f"| {target.text} | {number(target.value)} | {sign} {number(target.limit)} | {'met' if target.met else '**missed**'} |"


def _section(outcome: Outcome) -> Iterable[str]:
    yield f"## {outcome.title}"
    yield ""
    yield outcome.method
    yield ""
    yield "| what | system | median | lowest to highest | rounds |"
    yield "|---|---|---|---|---|"
    for table in outcome.tables:
        yield from _rows(table)
    yield ""
    for name in outcome.plots:
        yield f"![{outcome.title}]({name}.svg)"
        yield ""
    for note in outcome.notes:
        yield f"- {note}"
    if outcome.notes:
        yield ""


def _rows(table: Table) -> Iterable[str]:
    for row, figure in enumerate(table.figures):
        what = f"{table.what} [{table.unit}]" if table.unit else table.what
        extremes = f"{number(min(figure.values))} to {number(max(figure.values))}" if len(figure.values) > 1 else ""
        yield f"| {'' if row else what} | {figure.system} | {number(figure.median)} | {extremes} | {len(figure.values)} |"


def _figures(machine: Mapping[str, str], outcomes: Sequence[Outcome]) -> dict[str, object]:
    return {
        "machine": dict(machine),
        "scenarios": {
            outcome.name: {
                f"{table.what} [{table.unit}]": {figure.system: list(figure.values) for figure in table.figures}
                for table in outcome.tables
            }
            for outcome in outcomes
        },
    }
