"""Charts of a report as SVG: lines over epochs, points of a front; in the page's colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

WIDTH, HEIGHT = 360, 230
"""Of a chart, in its own units; the page scales it."""
LEFT, RIGHT, TOP, BOTTOM = 60, 12, 12, 34

COLORS = 8
"""Colours of lines in the page's style: --line-1 and so on."""
DASHES = ("", "5 3", "1.5 2.5")
"""Then lines are dashed."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a chart.

    Attributes:
        name: What it shows.
        xs: Where its points are, rising.
        ys: Their values; None where there is none.
        style: Number of its colour and dashes, from 0.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    style: int

    def points(self) -> list[tuple[float, float]]:
        """The points that have a value."""
        return [(x, y) for x, y in zip(self.xs, self.ys) if y is not None and math.isfinite(y)]


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A point of a chart.

    Attributes:
        name: What it is.
        x: Where it is.
        y: Its value.
        full: Whether it is filled; others are hollow.
    """

    name: str
    x: float
    y: float
    full: bool = True


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Lines, or dots, over one axis.

    Attributes:
        title: What it shows.
        x: Name of the horizontal axis.
        y: Name of the vertical axis.
        lines: What is drawn as lines.
        dots: What is drawn as dots, with their names beside them.
        summary: What can be seen, in a sentence, for those who do not see it.
        floor: A value that the vertical axis reaches down to.
    """

    title: str
    x: str
    y: str
    summary: str
    lines: Sequence[Line] = ()
    dots: Sequence[Dot] = ()
    floor: float | None = None

    def svg(self) -> Markup:
        """The chart as an SVG element."""
        points = [point for line in self.lines for point in line.points()]
        points += [(dot.x, dot.y) for dot in self.dots]
        if not points:
            return Markup("")
        xs, ys = [x for x, _ in points], [y for _, y in points]
        low = min(ys) if self.floor is None else min(self.floor, *ys)
        frame = _Frame(_ticks(min(xs), max(xs)), _ticks(low, max(ys)), bool(self.dots), (min(xs), max(xs)))
        parts = [*frame.axes(self.x, self.y)]
        for line in self.lines:
            parts += _line(line, frame)
        for dot in self.dots:
            parts += _dot(dot, frame)
        body = "\n".join(parts)
        return Markup(
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(self.summary)}" '
            f'xmlns="http://www.w3.org/2000/svg">\n{body}\n</svg>'
        )


def stroke(style: int) -> str:
    """The colour and dashes of a line, by its number."""
    dash = DASHES[style // COLORS % len(DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'stroke="var(--line-{style % COLORS + 1})"{dashed}'


@dataclass(frozen=True)
class _Frame:
    x_ticks: Sequence[float]
    y_ticks: Sequence[float]
    wide: bool
    span: tuple[float, float]
    edges: tuple[float, float] = field(init=False)

    def __post_init__(self) -> None:
        low, high = self.span
        if self.wide or low == high:  # room for names, and for a single point
            low, high = min(low, self.x_ticks[0]), max(high, self.x_ticks[-1])
        object.__setattr__(self, "edges", (low, high))

    def x(self, value: float) -> float:
        low, high = self.edges
        return LEFT + (value - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return HEIGHT - BOTTOM - (value - low) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM)

    def axes(self, x_name: str, y_name: str) -> list[str]:
        parts = list[str]()
        for tick in self.y_ticks:
            y = self.y(tick)
            parts.append(f'<path class="grid" d="M{LEFT} {y:.1f} H{WIDTH - RIGHT}"/>')
            parts.append(f'<text x="{LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{_number(tick)}</text>')
        for tick in self.x_ticks:
            if self.edges[0] <= tick <= self.edges[1]:
                x = self.x(tick)
                parts.append(
                    f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">'
                    f"{_number(tick)}</text>"
                )
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_name)}</text>')
        upright = (TOP + HEIGHT - BOTTOM) / 2
        turn = f'transform="rotate(-90 10 {upright})"'
        parts.append(f'<text x="10" y="{upright}" text-anchor="middle" {turn}>{escape(y_name)}</text>')
        return parts


def _line(line: Line, frame: _Frame) -> list[str]:
    points = line.points()
    if not points:
        return []
    title = f"<title>{escape(line.name)}: {_number(points[-1][1])} in the end</title>"
    if len(points) == 1:
        x, y = points[0]
        color = f"var(--line-{line.style % COLORS + 1})"
        return [
            f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="2.5" fill="{color}">{title}</circle>'
        ]
    path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
    return [f'<polyline class="line" {stroke(line.style)} points="{path}">{title}</polyline>']


def _dot(dot: Dot, frame: _Frame) -> list[str]:
    x, y = frame.x(dot.x), frame.y(dot.y)
    right = x > WIDTH * 0.6
    anchor, side = ("end", x - 7) if right else ("start", x + 7)
    look = "full" if dot.full else "hollow"
    name = escape(dot.name)
    return [
        f'<circle class="{look}" cx="{x:.1f}" cy="{y:.1f}" r="4">'
        f"<title>{name}: {_number(dot.y)}</title></circle>",
        f'<text x="{side:.1f}" y="{y - 5:.1f}" text-anchor="{anchor}">{name}</text>',
    ]


def _ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from below `low` to above `high`."""
    if low == high:
        low, high = low - abs(low) * 0.1 - (low == 0), high + abs(high) * 0.1 + (high == 0)
    rough = (high - low) / (most - 1)
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _number(value: float) -> str:
    return f"{value:.4g}"


def styles(names: Sequence[str]) -> Mapping[str, int]:
    """A number for each name: its colour, the same in all charts of a page."""
    return {name: number for number, name in enumerate(names)}
