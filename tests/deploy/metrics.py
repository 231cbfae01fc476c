"""The metrics of our processes, read from their declarations in the code."""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.manifests import ROOT

_KINDS = {"Counter", "Gauge", "Histogram"}
_SUFFIXES = {"Counter": ("",), "Gauge": ("",), "Histogram": ("_bucket", "_sum", "_count")}


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as Prometheus sees it."""

    name: str
    kind: str
    labels: frozenset[str]


@functools.cache
def defined() -> dict[str, Metric]:
    """Every series of our processes by name. Raises ValueError for a declaration whose name or labels are not literals."""
    return {metric.name: metric for source in _sources() for metric in _declared(source)}


@functools.cache
def words() -> frozenset[str]:
    """Every short literal in the code; all label values are among them."""
    found: set[str] = set()
    for source in _sources():
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | int):
                found.add(str(node.value))
    return frozenset(found)


def _sources() -> list[Path]:
    return [*(ROOT / "libs").glob("*/src/**/*.py"), *(ROOT / "services").glob("*/src/**/*.py")]


def _declared(source: Path) -> Iterator[Metric]:
    tree = ast.parse(source.read_text())
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "collections")
    kinds = _KINDS - {alias.name for node in imports for alias in node.names}  # the standard library has a `Counter` as well
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=kind), args=[ast.Constant(value=str(name)), _, *rest]) if kind in kinds:
                labels: list[str] = ast.literal_eval(rest[0]) if rest else []
                own = frozenset({*labels, *(["le"] if kind == "Histogram" else [])})
                exposed = f"{name.removesuffix('_total')}_total" if kind == "Counter" else name
                yield from (Metric(f"{exposed}{suffix}", kind, own) for suffix in _SUFFIXES[kind])
            case ast.Call(func=ast.Name(id=kind)) if kind in kinds:
                raise ValueError(f"{source}:{node.lineno}: a {kind} without a literal name")
