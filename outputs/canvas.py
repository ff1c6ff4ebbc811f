"""Wires, boxes and labels on a white page, in inches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from matplotlib.textpath import TextPath

FONT = "DejaVu Sans"  # comes with matplotlib: the same widths everywhere
SIZE, SMALL = 6.5, 5.8  # points
LINE_HEIGHT = 1.22 * SIZE / 72
RADIUS = 0.105
INK, WIRE, PALE = "#1F2937", "#8A93A0", "#F3F4F6"


class Canvas:
    """A figure of a width and a height whose coordinates are inches from its lower left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width, height), facecolor="white")
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(0, height))
        self.axes.set_axis_off()

    def wire(
        self,
        points: Sequence[tuple[float, float]],
        color: str = WIRE,
        width: float = 0.8,
        *,
        arrow: bool = False,
        layer: float = 1.0,
        over: bool = False,
    ) -> None:
        xs, ys = zip(*points)
        if over:  # a gap in the wires that it crosses
            self.axes.add_line(
                Line2D(
                    xs,
                    [ys[0] - 0.03, *ys[1:]],
                    color="white",
                    linewidth=width + 3,
                    zorder=1.5,
                    solid_capstyle="butt",
                )
            )
        style = {"color": color, "linewidth": width, "zorder": 2.0 if over else layer}
        self.axes.add_line(Line2D(xs, ys, solid_joinstyle="round", solid_capstyle="round", **style))
        if arrow:
            (x0, y0), end = points[-2], points[-1]
            length = max(abs(end[0] - x0), abs(end[1] - y0))
            back = min(1.0, 0.05 / length)
            start = (end[0] + (x0 - end[0]) * back, end[1] + (y0 - end[1]) * back)
            self.axes.add_patch(
                FancyArrowPatch(start, end, arrowstyle="-|>,head_length=3,head_width=1.5", mutation_scale=1,
                                shrinkA=0, shrinkB=0, **style)
            )  # fmt: skip

    @contextmanager
    def edge(self, node: int, source: int) -> Iterator[None]:
        """What is drawn within belongs to one edge of the cell; a picture shows no more of it."""
        yield

    def box(self, x: float, y: float, width: float, height: float, edge: str, face: str) -> None:
        corner = min(0.05, height / 2)
        self.axes.add_patch(
            FancyBboxPatch((x, y), width, height, boxstyle=f"round,pad=0,rounding_size={corner}",
                           edgecolor=edge, facecolor=face, linewidth=0.8, zorder=3)
        )  # fmt: skip

    def circle(self, x: float, y: float, text: str, face: str) -> None:
        self.axes.add_patch(Circle((x, y), RADIUS, edgecolor=INK, facecolor=face, linewidth=0.9, zorder=3))
        self.text(x, y, text)

    def plus(self, x: float, y: float) -> None:
        self.axes.add_patch(Circle((x, y), 0.09, edgecolor=INK, facecolor="white", linewidth=0.8, zorder=3))
        for dx, dy in ((0.05, 0.0), (0.0, 0.05)):
            self.axes.add_line(Line2D((x - dx, x + dx), (y - dy, y + dy), color=INK, linewidth=0.8, zorder=4))

    def dot(self, x: float, y: float, color: str = WIRE) -> None:
        self.axes.add_patch(Circle((x, y), 0.022, color=color, linewidth=0, zorder=2.5))

    def text(
        self, x: float, y: float, text: str, *, size: float = SIZE, color: str = INK, ha: str = "center",
        rotation: float = 0, gid: str | None = None,
    ) -> None:  # fmt: skip
        self.axes.text(x, y, text, color=color, ha=ha, va="center", rotation=rotation, gid=gid, zorder=5,
                       linespacing=1.15, fontproperties=FontProperties(family=FONT, size=size))  # fmt: skip


def width_of(text: str, size: float = SIZE) -> float:
    """Width of the widest line in inches."""
    font = FontProperties(family=FONT)
    return (
        max(TextPath((0, 0), line, size=size, prop=font).get_extents().width for line in text.split("\n"))
        / 72
    )


def height_of(label: str) -> float:
    """Height of the box around a label."""
    return (label.count("\n") + 1) * LINE_HEIGHT + 0.07


def tint(color: str) -> str:
    """A colour mixed with white, for fills."""
    channels = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - 0.1 * (255 - channel)):02X}" for channel in channels)
