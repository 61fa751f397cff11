"""The results as SVG, written by hand: a panel a work, a line a path, round trips along the x axis.

Both axes are what a reader compares by: the distances stand side by side, whatever their number,
and the figures are on a logarithmic scale, so that equal ratios are equal heights. The bars are
from the least to the most of the rounds. Files are small, and the same for the same results.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 300, 240  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 30, 34
LEGEND = 22
COLUMNS = 2
# Okabe and Ito's colours, which the colour-blind tell apart.
COLOURS = ("#000000", "#0072b2", "#56b4e9", "#cc79a7", "#e69f00", "#d55e00", "#009e73", "#999999")
DODGE = 4  # pixels that the paths are apart, so that their bars do not hide each other


@dataclass(frozen=True)
class Point:
    """A median with its spread."""

    least: float
    median: float
    most: float


@dataclass(frozen=True)
class Panel:
    """One figure of one work: by path, a point for each round trip, or None."""

    title: str
    lines: Mapping[str, Sequence[Point | None]]


def svg(panels: Sequence[Panel], round_trips_ms: Sequence[float]) -> str:
    """All panels in one picture, with one legend; every panel has the same paths."""
    rows = math.ceil(len(panels) / COLUMNS)
    width, height = COLUMNS * WIDTH, rows * HEIGHT + LEGEND
    size = f'viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    parts += _legend(names, width)
    for index, panel in enumerate(panels):
        x, y = index % COLUMNS * WIDTH, index // COLUMNS * HEIGHT + LEGEND
        parts.append(f'<g transform="translate({x} {y})">')
        parts += _panel(panel, names, round_trips_ms)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def scale(points: Sequence[Point]) -> tuple[float, float]:
    """Powers of ten times 1, 2 or 5 that hold all points."""
    least = min(point.least for point in points)
    most = max(point.most for point in points)
    below = [step for step in _steps(least, most) if step <= least]
    above = [step for step in _steps(least, most) if step >= most]
    low, high = below[-1], above[0]
    return (low, high) if low < high else (low / 2, high * 2)


def _steps(least: float, most: float) -> list[float]:
    """1, 2 and 5 times every power of ten from one below the least to one above the most."""
    powers = range(math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 2)
    return [factor * 10.0**power for power in powers for factor in (1, 2, 5)]


def _legend(names: Sequence[str], width: int) -> list[str]:
    parts = []
    each = width / max(1, len(names))
    for index, name in enumerate(names):
        x = index * each + 6
        parts.append(
            f'<circle cx="{x + 4:.1f}" cy="11" r="4" fill="{_colour(index)}"/>'
            f'<text x="{x + 11:.1f}" y="15" font-size="10">{escape(name)}</text>'
        )
    return parts


def _panel(panel: Panel, names: Sequence[str], round_trips_ms: Sequence[float]) -> list[str]:
    parts = [f'<text x="{LEFT}" y="18" font-weight="bold">{escape(panel.title)}</text>']
    points = [point for line in panel.lines.values() for point in line if point and point.least > 0]
    if not points:
        return parts
    low, high = scale(points)
    bottom = HEIGHT - BOTTOM

    def height(value: float) -> float:
        share = math.log(value / low) / math.log(high / low)
        return bottom - share * (bottom - TOP)

    for step in _steps(low, high):
        if low <= step <= high * 1.000001:
            y = height(step)
            parts.append(
                f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                f'stroke="#dddddd"/><text x="{LEFT - 5}" y="{y + 4:.1f}" '
                f'text-anchor="end">{step:g}</text>'
            )
    each = (WIDTH - LEFT - RIGHT) / max(1, len(round_trips_ms))
    for index, round_trip_ms in enumerate(round_trips_ms):
        x = LEFT + (index + 0.5) * each
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{round_trip_ms:g} ms</text>'
        )
    for name, line in panel.lines.items():
        order = names.index(name)
        shift = (order - (len(names) - 1) / 2) * DODGE
        places = [LEFT + (index + 0.5) * each + shift for index in range(len(line))]
        parts += _line(places, line, _colour(order), height)
    return parts


def _line(
    places: Sequence[float],
    line: Sequence[Point | None],
    colour: str,
    height: Callable[[float], float],
) -> list[str]:
    parts: list[str] = []
    path: list[str] = []
    for x, point in zip(places, line, strict=True):
        if point is None or point.least <= 0:
            continue
        y = height(point.median)
        path.append(f"{x:.1f},{y:.1f}")
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{height(point.least):.1f}" '
            f'y2="{height(point.most):.1f}" stroke="{colour}"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
        )
    if len(path) > 1:
        parts.append(f'<polyline points="{" ".join(path)}" fill="none" stroke="{colour}"/>')
    return parts


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]
