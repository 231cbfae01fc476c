"""Histograms of durations: percentiles, merging, and curves for plots. The load generator counts."""

from collections.abc import Iterable, Sequence


class Durations:
    """Durations in microseconds, in buckets of 1.6 % width with a lower edge and a count."""

    def __init__(self, buckets: Iterable[Sequence[int]]) -> None:
        counts: dict[int, int] = {}
        for edge, count in buckets:
            counts[edge] = counts.get(edge, 0) + count
        self.buckets = sorted(counts.items())
        """Lower edge and count, ascending."""
        self.total = sum(counts.values())
        """Number of durations."""

    @classmethod
    def merged(cls, several: Iterable["Durations"]) -> "Durations":
        """Merge several histograms."""
        return cls(bucket for durations in several for bucket in durations.buckets)

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile in milliseconds; 0 if there are no durations."""
        rank, passed = self.total * percent / 100, 0
        for edge, count in self.buckets:
            passed += count
            if passed >= rank:
                return edge / 1000
        return 0.0

    def curve(self) -> list[tuple[float, float]]:
        """Return the cumulative distribution as points (milliseconds, share), ascending."""
        points, passed = [], 0
        for edge, count in self.buckets:
            passed += count
            points.append((edge / 1000, passed / self.total))
        return points
