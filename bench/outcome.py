"""The result of a scenario: figures, judged targets, plots. `report` writes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """A quantity of one system, measured several times."""

    system: str
    values: tuple[float, ...]
    """One for each round."""

    @property
    def median(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def spread(self) -> float:
        """The distance of the extremes, as a share of the median."""
        return (max(self.values) - min(self.values)) / self.median if self.median else 0.0


@dataclass(frozen=True, slots=True)
class Table:
    """One quantity of several systems."""

    what: str
    unit: str
    figures: tuple[Figure, ...]

    @classmethod
    def of(cls, what: str, unit: str, values: Mapping[str, Sequence[float]]) -> "Table":
        """Return the table of each system's values."""
        return cls(what, unit, tuple(Figure(system, tuple(found)) for system, found in values.items() if found))

    def median_of(self, system: str) -> float | None:
        """Return a system's figure; None where it took no part."""
        return next((figure.median for figure in self.figures if figure.system == system), None)

    def ratio(self, system: str, other: str) -> float | None:
        """Return how many times the figure of `other` that of `system` is; None where one took no part."""
        mine, its = self.median_of(system), self.median_of(other)
        return mine / its if mine is not None and its else None


@dataclass(frozen=True, slots=True)
class Target:
    """A target for Hubbub, and the measured value."""

    text: str
    value: float
    limit: float
    at_most: bool
    """The limit is the highest acceptable value, else the lowest."""

    @property
    def met(self) -> bool:
        """Whether it holds."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit


@dataclass(slots=True)
class Outcome:
    """The result of one scenario."""

    name: str
    """The scenario's name, as in --only."""
    title: str
    method: str
    """How it was measured, so that a reader can check it."""
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    plots: dict[str, str] = field(default_factory=dict)
    """SVG by file name without its ending."""
    notes: list[str] = field(default_factory=list)
    """Remarks for the reader: errors, contention, omissions."""

    def expect_at_most(self, text: str, value: float | None, limit: float) -> None:
        """Judge a value that should be small; None if it could not be measured."""
        if value is not None:
            self.targets.append(Target(text, value, limit, at_most=True))

    def expect_at_least(self, text: str, value: float | None, limit: float) -> None:
        """Judge a value that should be large; None if it could not be measured."""
        if value is not None:
            self.targets.append(Target(text, value, limit, at_most=False))
