"""Durations counted in buckets by the load generator: percentiles, merging, and the curve for a plot."""

from collections.abc import Iterable, Sequence


class Durations:
    """Durations in microseconds, each bucket with its lower edge and its count; within 1.6 % of the truth."""

    def __init__(self, buckets: Iterable[Sequence[int]]) -> None:
        counts: dict[int, int] = {}
        for edge, count in buckets:
            counts[edge] = counts.get(edge, 0) + count
        self.buckets = sorted(counts.items())
        """Lower edge and count, ascending."""
        self.total = sum(counts.values())
        """How many there are."""

    @classmethod
    def merged(cls, several: Iterable["Durations"]) -> "Durations":
        """Return all of them as one."""
        return cls(bucket for durations in several for bucket in durations.buckets)

    def percentile_ms(self, percent: float) -> float:
        """Return the duration in milliseconds that `percent` of them do not exceed; 0 when there are none."""
        rank, passed = self.total * percent / 100, 0
        for edge, count in self.buckets:
            passed += count
            if passed >= rank:
                return edge / 1000
        return 0.0

    def curve(self) -> list[tuple[float, float]]:
        """Return points (milliseconds, share that is at most as long), ascending, ready to draw."""
        points, passed = [], 0
        for edge, count in self.buckets:
            passed += count
            points.append((edge / 1000, passed / self.total))
        return points
