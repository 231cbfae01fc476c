"""Plots can be drawn for any measured numbers: none may fail after half an hour of measuring."""

import pytest

from bench import svg


@pytest.mark.parametrize("cost", [0.0, 0.001, 0.44, 0.61, 1.0, 5.9, 6.1, 7.5, 9.9, 10.0, 61.0, 99.9, 12_935.0])
def test_a_curve_can_be_drawn_for_any_range(cost: float) -> None:
    plot = svg.lines("Cost", "members", "µs", {"Hubbub": [(10.0, cost), (10_000.0, cost / 2)]}, log_x=True)
    assert plot.startswith("<svg")
    assert "Hubbub" in plot
