"""The scenarios: scripts as data, in `scenarios/*.yaml`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).with_name("scenarios")
Step = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One script. Its steps are documented in `player`."""

    name: str
    rule: str
    """The rule of the protocol that it tests, as a sentence."""
    channels: Mapping[str, int]
    """The user's channels at the beginning, with their heads."""
    steps: tuple[Step, ...]


def scenarios() -> list[Scenario]:
    """Read all scenarios. Raises ValueError for a file that is not one."""
    return [one for path in sorted(FOLDER.glob("*.yaml")) for one in _read(path)]


def _read(path: Path) -> Iterator[Scenario]:
    """One document of a file is one scenario, or several that differ in the values of `for`."""
    for document in yaml.safe_load_all(path.read_text()):
        values = document.pop("for", [None])
        for value in values:
            filled = _filled(document, value)
            steps = tuple(_step(each, path) for each in filled["steps"])
            channels = {f"{number:036}": 1 for number in range(filled.get("many_channels", 0))}
            yield Scenario(filled["name"], filled["rule"], channels or filled.get("channels", {"a": 3}), steps)


def _step(step: Any, path: Path) -> Step:
    if isinstance(step, str):
        return step, None
    if not isinstance(step, dict) or len(step) != 1:
        raise ValueError(f"{path.name}: a step is a name or a mapping with one name, not {step}")
    return next(iter(step.items()))


def _filled(part: Any, value: Any) -> Any:
    """Replace `{}` by a value of `for`."""
    match part:
        case dict():
            return {_filled(key, value): _filled(item, value) for key, item in part.items()}
        case list():
            return [_filled(item, value) for item in part]
        case "{}":
            return value
        case str() if value is not None:
            return re.sub(r"\{\}", str(value), part)
        case _:
            return part
