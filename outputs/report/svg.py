"""The drawing of a cell as SVG for a page: in the page's colours, and every edge says what it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from markupsafe import Markup, escape

from outputs.canvas import INK, PALE, RADIUS, SIZE, WIRE, Canvas, width_of
from outputs.diagram import Diagram
from search_space.genotype import Genotype

POINTS = 72
"""Points of an inch: lengths on the page."""

_COLORS = {INK: "var(--ink)", WIRE: "var(--wire)", PALE: "var(--pale)", "#FFFFFF": "var(--paper)"}
_TINT_OPACITY = 0.13
_SUBSCRIPT = re.compile(r"\$_\{(\d+)\}\$")


def cell_svg(
    genotype: Genotype,
    shares: Mapping[tuple[int, int], float],
    titles: Mapping[tuple[int, int], str],
    label: str,
) -> Markup:
    """The cell as an SVG element.

    Args:
        genotype: What to draw.
        shares: Share of the operator of every edge (node, state index); may be empty.
        titles: What is shown of an edge under the mouse, and read aloud.
        label: What the drawing shows, in a sentence, for those who do not see it.
    """
    diagram = Diagram(genotype, shares)
    canvas = SvgCanvas(diagram.width, diagram.height, titles)
    diagram.draw_on(canvas)
    return canvas.svg(label)


class SvgCanvas(Canvas):
    """A canvas whose marks are SVG elements; coordinates are inches from the lower left corner.

    Args:
        width: Of the drawing, in inches.
        height: Of the drawing, in inches.
        titles: By edge (node, source), what it says.
    """

    def __init__(self, width: float, height: float, titles: Mapping[tuple[int, int], str]) -> None:
        self.width, self.height, self.titles = width, height, titles
        self._marks = list[tuple[float, str]]()
        self._title: str | None = None
        self._label = list[str]()

    def svg(self, label: str) -> Markup:
        """All marks, those of higher layers on top."""
        size = f"0 0 {self.width * POINTS:.1f} {self.height * POINTS:.1f}"
        marks = "\n".join(mark for _, mark in sorted(self._marks, key=lambda mark: mark[0]))
        return Markup(
            f'<svg class="cell" viewBox="{size}" role="img" aria-label="{escape(label)}" '
            f'xmlns="http://www.w3.org/2000/svg">\n{marks}\n</svg>'
        )

    @contextmanager
    def edge(self, node: int, source: int) -> Iterator[None]:
        self._title, self._label = str(escape(self.titles[node, source])), []
        yield
        label = "".join(self._label)
        self._marks.append((3, f'<g class="edge" tabindex="0"><title>{self._title}</title>{label}</g>'))
        self._title = None

    def _add(self, layer: float, mark: str) -> None:
        if self._title is None:
            self._marks.append((layer, mark))
        elif layer >= 3:
            self._label.append(mark)
        else:
            self._marks.append((layer, f"<g><title>{self._title}</title>{mark}</g>"))

    def _at(self, x: float, y: float) -> tuple[str, str]:
        return f"{x * POINTS:.2f}", f"{(self.height - y) * POINTS:.2f}"

    def _path(self, points: Sequence[tuple[float, float]]) -> str:
        return "M" + " L".join(" ".join(self._at(x, y)) for x, y in points)

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
        if over:  # a gap in the wires that it crosses
            (x, y), *rest = points
            gap = self._path([(x, y - 0.03), *rest])
            self._add(
                1.5, f'<path d="{gap}" fill="none" stroke="var(--paper)" stroke-width="{width + 3:.2f}"/>'
            )
        layer, stroke = (2.0 if over else layer), _color(color)
        style = f'fill="none" stroke="{stroke}" stroke-width="{width:.2f}" stroke-linejoin="round"'
        self._add(layer, f'<path{_kind(color)} d="{self._path(points)}" {style} stroke-linecap="round"/>')
        if arrow:
            (x0, y0), (x1, y1) = points[-2], points[-1]
            length = max(abs(x1 - x0), abs(y1 - y0)) or 1.0
            dx, dy = (x1 - x0) / length, (y1 - y0) / length
            back, side = 0.045, 0.022
            base = (x1 - dx * back, y1 - dy * back)
            corners = [
                (x1, y1),
                (base[0] - dy * side, base[1] + dx * side),
                (base[0] + dy * side, base[1] - dx * side),
            ]
            self._add(layer, f'<path{_kind(color)} d="{self._path(corners)}Z" fill="{stroke}"/>')

    def box(self, x: float, y: float, width: float, height: float, edge: str, face: str) -> None:
        left, top = self._at(x, y + height)
        corner = f'rx="{min(0.05, height / 2) * POINTS:.2f}"'
        sides = f'width="{width * POINTS:.2f}" height="{height * POINTS:.2f}" {corner}'
        known = face in _COLORS
        paper = "" if known else f'<rect x="{left}" y="{top}" {sides} fill="var(--paper)"/>'
        fill = f'fill="{_color(face)}"' if known else f'fill="{edge}" fill-opacity="{_TINT_OPACITY}"'
        rim = f'stroke="{_color(edge)}" stroke-width="0.8"'
        mark = f'<rect{_kind(edge)} x="{left}" y="{top}" {sides} {fill} {rim}/>'
        self._add(3, paper + mark)

    def circle(self, x: float, y: float, text: str, face: str) -> None:
        self._disc(x, y, RADIUS, face)
        self.text(x, y, text)

    def plus(self, x: float, y: float) -> None:
        self._disc(x, y, 0.09, "#FFFFFF")
        for dx, dy in ((0.05, 0.0), (0.0, 0.05)):
            path = self._path([(x - dx, y - dy), (x + dx, y + dy)])
            self._add(4, f'<path d="{path}" stroke="var(--ink)" stroke-width="0.8"/>')

    def _disc(self, x: float, y: float, radius: float, face: str) -> None:
        cx, cy = self._at(x, y)
        style = f'fill="{_color(face)}" stroke="var(--ink)" stroke-width="0.9"'
        self._add(3, f'<circle cx="{cx}" cy="{cy}" r="{radius * POINTS:.2f}" {style}/>')

    def dot(self, x: float, y: float, color: str = WIRE) -> None:
        cx, cy = self._at(x, y)
        self._add(2.5, f'<circle{_kind(color)} cx="{cx}" cy="{cy}" r="1.6" fill="{_color(color)}"/>')

    def text(
        self, x: float, y: float, text: str, *, size: float = SIZE, color: str = INK, ha: str = "center",
        rotation: float = 0, gid: str | None = None,
    ) -> None:  # fmt: skip
        del gid
        fill = "var(--ink)" if color == INK else "var(--soft)"
        lines = text.split("\n")
        pitch = 1.15 * size * 1.1
        for number, line in enumerate(lines):
            left, top = self._at(x, y)
            middle = float(top) + (number - (len(lines) - 1) / 2) * pitch
            turn = f' transform="rotate({-rotation:g} {left} {middle:.2f})"' if rotation else ""
            anchor = "middle" if ha == "center" else "start"
            plain = _SUBSCRIPT.sub(lambda found: found[1], line)
            # The width that the drawing counts on, whatever font the reader has.
            fit = (
                ""
                if plain != line
                else f' textLength="{width_of(line, size) * POINTS:.1f}" lengthAdjust="spacingAndGlyphs"'
            )
            self._add(
                5,
                f'<text x="{left}" y="{middle:.2f}" font-size="{size:g}" text-anchor="{anchor}" '
                f'dominant-baseline="central" fill="{fill}"{fit}{turn}>{_marked(line)}</text>',
            )


def _marked(line: str) -> str:
    """A line of text with its subscripts."""
    return _SUBSCRIPT.sub(r'<tspan font-size="70%" dy="0.25em">\1</tspan>', str(escape(line)))


def _color(color: str) -> str:
    return _COLORS.get(color, color)


def _kind(color: str) -> str:
    """A class for what has the colour of an operator's kind: a dark page shows it lighter."""
    return "" if color in _COLORS else ' class="kind"'
