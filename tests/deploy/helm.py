"""Renders the chart with Helm's own library, without a cluster."""

from pathlib import Path
from typing import Any

import helm_python
import yaml

from tests.deploy.kustomize import Document

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "hubbub"
EXAMPLES = tuple(f"helm/{file.stem}" for file in sorted((CHART / "examples").glob("*.yaml")))
"""The names of the examples."""


def values_of(name: str) -> dict[str, Any]:
    """The values of an example."""
    values: dict[str, Any] = yaml.safe_load((CHART / "examples" / f"{name.removeprefix('helm/')}.yaml").read_text())
    return values


def example(name: str) -> list[Document]:
    """Every document of an example."""
    return [document for file, text in render(values_of(name)).items() if file != "NOTES.txt" for document in _documents(text)]


def render(values: dict[str, Any]) -> dict[str, str]:
    """The text of each template by its file. Raises `HelmError` for values that the chart refuses."""
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        rendered = chart.render(values, name="hubbub", namespace="hubbub")
    return {file.removeprefix("hubbub/templates/"): text for file, text in rendered.items()}


def _documents(text: str) -> list[Document]:
    return [document for document in yaml.safe_load_all(text) if document is not None]
