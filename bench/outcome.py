"""The results of a scenario: figures, targets, plots. `report` writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """Measurements of one quantity of one system."""

    system: str
    values: tuple[float, ...]
    """One value per round."""

    @property
    def median(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def spread(self) -> float:
        """The range relative to the median."""
        return (max(self.values) - min(self.values)) / self.median if self.median else 0.0


@dataclass(frozen=True, slots=True)
class Table:
    """One quantity of several systems."""

    what: str
    unit: str
    figures: tuple[Figure, ...]

    @classmethod
    def of(cls, what: str, unit: str, values: Mapping[str, Sequence[float]]) -> "Table":
        """Build a table from each system's values."""
        return cls(what, unit, tuple(Figure(system, tuple(found)) for system, found in values.items() if found))

    def median_of(self, system: str) -> float | None:
        """Return a system's median; None if it was not measured."""
        return next((figure.median for figure in self.figures if figure.system == system), None)

    def ratio(self, system: str, other: str) -> float | None:
        """Return the ratio of `system` to `other`; None if one was not measured."""
        value, base = self.median_of(system), self.median_of(other)
        return value / base if value is not None and base else None


@dataclass(frozen=True, slots=True)
class Target:
    """A target for Hubbub, and the measured value."""

    text: str
    value: float
    limit: float
    at_most: bool
    """Whether the limit is a maximum; otherwise a minimum."""

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit


@dataclass(slots=True)
class Outcome:
    """The results of one scenario."""

    name: str
    """The scenario's name, as in --only."""
    title: str
    method: str
    """How it was measured."""
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    plots: dict[str, str] = field(default_factory=dict)
    """SVG by file name without extension."""
    notes: list[str] = field(default_factory=list)
    """Remarks on the figures: errors, contention, omissions."""

    def expect_at_most(self, text: str, value: float | None, limit: float) -> None:
        """Add a target with a maximum, if the value was measured."""
        if value is not None:
            self.targets.append(Target(text, value, limit, at_most=True))

    def expect_at_least(self, text: str, value: float | None, limit: float) -> None:
        """Add a target with a minimum, if the value was measured."""
        if value is not None:
            self.targets.append(Target(text, value, limit, at_most=False))
