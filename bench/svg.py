"""Draws the report's plots as SVG: bars and lines."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from bench.outcome import Table

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 190, 150, 48, 46
_BAR_HEIGHT, _BAR_STEP = 22, 34
_PLOT_HEIGHT = 260
_LINE_LEFT = 70
_MAX_DOTS = 12
_COLOURS = ("#2563eb", "#d97706", "#059669", "#9333ea", "#64748b")
_INK, _FAINT = "#1f2937", "#d1d5db"

Points = Sequence[tuple[float, float]]


def bars(title: str, unit: str, table: Table) -> str:
    """Draw a bar per system for its median, a line for its range, and its ratio to the first system."""
    largest = max((max(figure.values) for figure in table.figures), default=0.0) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / largest
    first = table.figures[0].median if table.figures else 0.0
    parts = []
    for row, figure in enumerate(table.figures):
        top = _TOP + row * _BAR_STEP
        middle = top + _BAR_HEIGHT / 2
        ends = (_LEFT + min(figure.values) * scale, _LEFT + max(figure.values) * scale)
        ratio = f" ({figure.median / first:.2f} times)" if row and first else ""
        parts += [
            _text(_LEFT - 8, middle + 4, figure.system, anchor="end"),
            _box(_LEFT, top, figure.median * scale, _BAR_HEIGHT, _COLOURS[row % 5]),
            _line(ends[0], middle, ends[1], middle, _INK),
            _text(max(ends[1], _LEFT) + 6, middle + 4, f"{number(figure.median)}{ratio}"),
        ]
    height = _TOP + len(table.figures) * _BAR_STEP + 20
    return _page(title, height, [*parts, _text(_LEFT, height - 8, unit, size=11)])


def lines(
    title: str, x_name: str, y_name: str, series: Mapping[str, Points], *, log_x: bool = False, from_zero: bool = True
) -> str:
    """Draw a line per series, with a legend."""
    drawn = {name: points for name, points in series.items() if points}
    xs = [x for points in drawn.values() for x, _ in points] or [1.0]
    ys = [y for points in drawn.values() for _, y in points] or [1.0]
    x_ticks = _decades(min(xs), max(xs)) if log_x else _steps(min(xs), max(xs))
    y_ticks = _steps(0.0 if from_zero else min(ys), max(ys))
    span = (x_ticks[0], max(x_ticks[-1], *xs)), (y_ticks[0], max(y_ticks[-1], *ys))

    def place_x(x: float) -> float:
        return _LINE_LEFT + _share(x, *span[0], log=log_x) * (_WIDTH - _LINE_LEFT - 24)

    def place_y(y: float) -> float:
        return _TOP + (1 - _share(y, *span[1], log=False)) * _PLOT_HEIGHT

    floor = _TOP + _PLOT_HEIGHT
    parts = [_line(place_x(x), _TOP, place_x(x), floor, _FAINT) for x in x_ticks]
    parts += [_text(place_x(x), floor + 16, number(x), anchor="middle", size=11) for x in x_ticks]
    parts += [_line(_LINE_LEFT, place_y(y), _WIDTH - 24, place_y(y), _FAINT) for y in y_ticks]
    parts += [_text(_LINE_LEFT - 6, place_y(y) + 4, number(y), anchor="end", size=11) for y in y_ticks]
    for row, (name, points) in enumerate(drawn.items()):
        path = " ".join(f"{place_x(x):.1f},{place_y(y):.1f}" for x, y in points)
        colour = _COLOURS[row % 5]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{place_x(x):.1f}" cy="{place_y(y):.1f}" r="3" fill="{colour}"/>'
            for x, y in points
            if len(points) <= _MAX_DOTS
        ]
        parts.append(_box(_LINE_LEFT + 10 + row * 170, floor + 30, 10, 10, colour))
        parts.append(_text(_LINE_LEFT + 25 + row * 170, floor + 39, name, size=11))
    parts.append(_text(_WIDTH - 24, floor + 39, f"{y_name} by {x_name}", anchor="end", size=11))
    return _page(title, floor + _BOTTOM + 8, parts)


def number(value: float) -> str:
    """Format a number with three significant digits and thousands separators."""
    if value == 0:
        return "0"
    if abs(value) >= 100:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _share(value: float, low: float, high: float, *, log: bool) -> float:
    if log:
        value, low, high = math.log10(max(value, low)), math.log10(low), math.log10(high)
    return (value - low) / (high - low) if high > low else 0.5


def _decades(low: float, high: float) -> list[float]:
    first = math.floor(math.log10(low)) if low > 0 else -1
    return [10.0**power for power in range(first, max(first + 1, math.ceil(math.log10(max(high, 1e-9)))) + 1)]


def _steps(low: float, high: float) -> list[float]:
    wide = high - low or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(wide))
    step = next(step * part for part in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0) if wide / (step * part) <= 6)  # noqa: PLR2004
    first = math.floor(low / step + 1e-9)
    return [index * step for index in range(first, math.ceil(high / step - 1e-9) + 1)]


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 13) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{_INK}">{escape(text)}</text>'


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _page(title: str, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}" '
        'font-family="system-ui, sans-serif">'
    )
    background = f'<rect width="{_WIDTH}" height="{height:.0f}" fill="#ffffff"/>'
    return "\n".join([head, background, _text(16, 26, title, size=16), *parts, "</svg>", ""])
