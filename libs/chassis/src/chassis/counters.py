"""Counters and histograms that cost next to nothing to count in: for what happens once per frame, message or delivery.

They look like prometheus-client's and are collected like them, but count in plain numbers: its own take a lock and half a
microsecond each time, a tenth of all that a frame costs. So one thread counts, that of the event loop; another may collect.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_Child = TypeVar("_Child")


class Count:
    """One number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Count."""
        self.value += amount


class Spread:
    """How often values fell between bounds."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Values up to each bound and above the one before; the last is what lies above all."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class _Family(Collector, Generic[_Child]):
    """Children by the values of their labels; without labels, one."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], make: Callable[[], _Child]) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._make = make
        self._children: dict[tuple[str, ...], _Child] = {}

    def labels(self, *values: str) -> _Child:
        """The child of these values, in the order of the labels."""
        child = self._children.get(values)
        if child is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self._name} has the labels {', '.join(self._labels) or 'none'}")
            child = self._children[values] = self._make()
        return child

    def describe(self) -> Iterable[Metric]:
        """Say it to the registry, which wants to know the names."""
        return self.collect()

    def _counted(self) -> list[tuple[tuple[str, ...], _Child]]:
        return list(self._children.items())  # in one step: the loop may be adding to it


class Counter(_Family[Count]):
    """What only grows. Raises ValueError where the name is taken."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str] = (), *, registry: CollectorRegistry = REGISTRY
    ) -> None:
        super().__init__(name, documentation, labels, Count)
        if not labels:
            self.inc = self.labels().inc
        registry.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Say how much it is."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, count in self._counted():
            family.add_metric(values, count.value)
        yield family


class Histogram(_Family[Spread]):
    """How large values are; `buckets` are upper bounds, ascending. Raises ValueError where the name is taken."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        super().__init__(name, documentation, labels, lambda: Spread(buckets))
        self._bounds = [*map(floatToGoString, buckets), "+Inf"]
        if not labels:
            self.observe = self.labels().observe
        registry.register(self)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Say how many values there were up to each bound."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, spread in self._counted():
            reached = accumulate(spread.counts)
            family.add_metric(values, list(zip(self._bounds, reached, strict=True)), spread.total)
        yield family
