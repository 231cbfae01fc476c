"""Parses Dockerfiles into stages and instructions, as far as the tests need."""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

_KNOWN = {"ARG", "FROM", "LABEL", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "ENTRYPOINT"}


@dataclass(frozen=True, slots=True)
class Copy:
    """One COPY."""

    sources: list[str]
    target: str
    stage: str | None
    """The stage to copy from; None for the build context."""


@dataclass(slots=True)
class Stage:
    """A FROM and the instructions after it."""

    image: str
    name: str | None
    copies: list[Copy] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    ports: list[int] = field(default_factory=list)
    entrypoint: list[str] | None = None


def stages(file: Path) -> list[Stage]:
    """The stages in order. Raises ValueError for an instruction that our Dockerfiles do not use (ADD, CMD, HEALTHCHECK …)."""
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for instruction, rest in _instructions(file):
        if instruction not in _KNOWN:
            raise ValueError(f"{file}: {instruction}")
        if instruction == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif instruction == "FROM":
            image, _, name = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], rest).partition(" AS ")
            found.append(Stage(image, name or None))
        else:
            _take(found[-1], instruction, rest)
    return found


def _instructions(file: Path) -> list[tuple[str, str]]:
    lines = [line for line in file.read_text().splitlines() if line and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def _take(stage: Stage, instruction: str, rest: str) -> None:
    match instruction:
        case "COPY":
            words = rest.split()
            origin = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
            stage.copies.append(Copy(words[:-1], words[-1], origin))
        case "RUN":
            stage.runs.append(" ".join(rest.split()))
        case "LABEL":
            stage.labels |= dict(pair.split("=", 1) for pair in shlex.split(rest))
        case "ENV":
            stage.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
        case "USER":
            stage.user = rest
        case "EXPOSE":
            stage.ports += [int(port) for port in rest.split()]
        case "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        case _:
            pass
