"""The drawing of a cell: a matrix of wires, in which no two labels can meet.

Every state has a row and every node a column. A node's output runs right along its row; where a later
node reads it, the wire leaves the row, passes the operator in the node's column and falls onto the node.
"""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from outputs.canvas import INK, LINE_HEIGHT, PALE, RADIUS, SMALL, WIRE, Canvas, height_of, tint, width_of
from outputs.kinds import kind_of
from search_space.genotype import Edge, Fuse, Genotype

LABEL_CHARACTERS = 13
GAP = 0.075  # between a label's box and what is beside it, in inches as all lengths
PAD = 0.1  # of a label in its box

_FUSE: Mapping[Fuse, tuple[str, str]] = {
    "double": ("fuse", "fuse:  1\u00d71 · BN · ReLU · 1\u00d71 · BN"),
    "single": ("fuse", "fuse:  1\u00d71 · BN"),
    "none": ("+ s", "s added to every node"),
}


class Diagram:
    """Places and draws the parts of a cell.

    Args:
        genotype: What to draw.
        shares: Share of the operator of every edge (node, state index); may be empty.
    """

    def __init__(self, genotype: Genotype, shares: Mapping[tuple[int, int], float]) -> None:
        self.genotype = genotype
        self.shares = shares
        self.num_nodes = len(genotype.nodes)
        self.labels = {(node, edge.index): self._label(node, edge) for node, edge in genotype.edges()}
        self.pill_height = max(height_of(label) for label in self.labels.values())
        self.drop = self.pill_height / 2 + 0.055  # from a row down to the operators that read it
        self.pitch = self.drop + self.pill_height + 0.07
        self._arrange()

    def draw(self) -> Figure:
        """The figure, as large as its parts need, in inches at 1:1."""
        canvas = Canvas(self.width, self.height)
        self.draw_on(canvas)
        return canvas.figure

    def draw_on(self, canvas: Canvas) -> None:
        """Draws onto a canvas of the diagram's width and height."""
        self.canvas = canvas
        self._draw_input()
        for i in range(1, self.num_nodes + 1):
            self.canvas.wire(
                [(self.columns[i] + RADIUS, self.rows[i]), (self.fuse_x, self.rows[i])], arrow=True
            )
        for node, edge in self.genotype.edges():
            with canvas.edge(node, edge.index):
                self._draw_edge(node, edge)
        for i in range(1, self.num_nodes + 1):
            self._draw_sum(i)
            self.canvas.circle(self.columns[i], self.rows[i], f"h$_{{{i}}}$", "#FFFFFF")
        self._draw_gate()
        self._draw_output()
        self._draw_legend()

    def _label(self, node: int, edge: Edge) -> str:
        share = self.shares.get((node, edge.index))
        lines = _wrap(edge.operator)
        return "\n".join(lines if share is None else [*lines, f"{share:.0%}"])

    def _arrange(self) -> None:
        k = self.num_nodes
        self.split_x, self.group_x = 0.37, 0.61
        self.sum_x = self.group_x + RADIUS + 0.11
        x = self.sum_x
        self.starts, self.columns = dict[int, float](), dict[int, float]()
        for i in range(1, k + 1):
            self.starts[i] = x + 0.06
            widest = max(width_of(label) for (node, _), label in self.labels.items() if node == i)
            self.columns[i] = self.starts[i] + GAP + widest + PAD + GAP + RADIUS
            x = self.columns[i] + RADIUS
        gate_right = self.sum_x + 0.3 + 0.62 + 0.2 + 2 * RADIUS
        self.fuse_x = max(x, gate_right) + 0.17
        self.plus_x = self.fuse_x + 0.2 + 0.24
        self.gate_x = self.plus_x + 0.24
        self.width = self.gate_x + 0.4 + 0.19 + 0.2
        self.legend = self._legend_lines()
        bottom = 0.1 + 0.17 * len(self.legend)
        self.residual_y = bottom + 0.12
        self.gate_y = self.residual_y + 0.3
        last = self.gate_y + self.pill_height / 2 + 0.2
        self.rows = {i: last + (k - i) * self.pitch for i in range(1, k + 1)}
        self.height = self.rows[1] + max(self.pill_height / 2, RADIUS) + 0.1

    def _draw_input(self) -> None:
        top, last = self.rows[1], self.rows[self.num_nodes]
        middle = (top + last) / 2
        self.canvas.wire([(0.15 + RADIUS, middle), (self.split_x, middle)])
        around = [(self.split_x, top), (self.split_x, self.residual_y), (self.plus_x, self.residual_y)]
        self.canvas.wire([*around, (self.plus_x, self._output_y() - 0.09)], arrow=True)
        self.canvas.circle(0.15, middle, "x", PALE)
        self.canvas.text(
            self.split_x + 0.08, self.residual_y + 0.06, "residual", size=SMALL, color=WIRE, ha="left"
        )
        self.canvas.wire([(self.sum_x, top), (self.sum_x, self.gate_y + 0.09)], arrow=True)
        for i in range(1, self.num_nodes + 1):
            y = self.rows[i]
            self.canvas.wire([(self.split_x, y), (self.group_x - RADIUS, y)], arrow=True)
            self.canvas.wire([(self.group_x + RADIUS, y), (self.sum_x, y)])
            self.canvas.dot(self.sum_x, y)
            self.canvas.circle(self.group_x, y, f"x$_{{{i}}}$", PALE)

    def _draw_edge(self, node: int, edge: Edge) -> None:
        color = kind_of(edge.operator).color
        label = self.labels[node, edge.index]
        width = 0.8 + 1.6 * self.shares.get((node, edge.index), 0.2)
        pill_width, height = width_of(label) + PAD, height_of(label)
        right = self.columns[node] - RADIUS - GAP
        left = right - pill_width
        if edge.index == 0:
            y = self.rows[node]
            self.canvas.wire([(self.sum_x, y), (left, y)], color, width)
            self.canvas.wire([(right, y), (self.columns[node] - RADIUS, y)], color, width, arrow=True)
        else:
            above = self.rows[edge.index]
            y = above - self.drop
            start = self.starts[node]
            self.canvas.wire([(start, above), (start, y), (left, y)], color, width)
            self.canvas.wire([(right, y), (self.columns[node], y)], color, width, layer=1.8)
            self.canvas.dot(start, above, color)
        self.canvas.box(left, y - height / 2, pill_width, height, color, tint(color))
        name, newline, share = label.rpartition("\n") if label.endswith("%") else (label, "", "")
        gid = f"edge-{edge.source}-h{node}"
        x = (left + right) / 2
        if newline:
            self.canvas.text(x, y + LINE_HEIGHT / 2, name, gid=gid)
            self.canvas.text(
                x, y - name.count("\n") * LINE_HEIGHT / 2 - LINE_HEIGHT / 2, share, size=SMALL, color=color
            )
        else:
            self.canvas.text(x, y, name, gid=gid)

    def _draw_sum(self, i: int) -> None:
        sources = [edge.index for edge in self.genotype.nodes[i - 1].edges if edge.index]
        if sources:
            x, top = self.columns[i], self.rows[min(sources)] - self.drop
            self.canvas.wire([(x, top), (x, self.rows[i] + RADIUS)], INK, 1.1, arrow=True, over=True)

    def _draw_gate(self) -> None:
        y, left = self.gate_y, self.sum_x + 0.3
        self.canvas.wire([(self.sum_x + 0.09, y), (left, y)], arrow=True)
        self.canvas.plus(self.sum_x, y)
        self.canvas.box(left, y - 0.1, 0.62, 0.2, INK, PALE)
        self.canvas.text(left + 0.31, y, "group gate")
        right = left + 0.62 + 0.2 + 2 * RADIUS
        self.canvas.wire([(left + 0.62, y), (right - 2 * RADIUS, y)], arrow=True)
        self.canvas.wire([(right, y), (self.fuse_x, y)], arrow=True)
        self.canvas.circle(right - RADIUS, y, "s", "#FFFFFF")

    def _draw_output(self) -> None:
        top, bottom = self.rows[1] + RADIUS, self.gate_y - RADIUS
        y, right = self._output_y(), self.fuse_x + 0.2
        self.canvas.box(self.fuse_x, bottom, 0.2, top - bottom, INK, PALE)
        short, long = _FUSE[self.genotype.fuse]
        self.canvas.text(
            self.fuse_x + 0.1, y, long if width_of(long) < top - bottom - 0.1 else short, rotation=90
        )
        self.canvas.wire([(right, y), (self.plus_x - 0.09, y)], arrow=True)
        self.canvas.plus(self.plus_x, y)
        self.canvas.wire([(self.plus_x + 0.09, y), (self.gate_x, y)], arrow=True)
        self.canvas.box(self.gate_x, y - 0.17, 0.4, 0.34, INK, PALE)
        self.canvas.text(self.gate_x + 0.2, y, "output\ngate")
        self.canvas.wire([(self.gate_x + 0.4, y), (self.gate_x + 0.4 + 0.16, y)], arrow=True)
        self.canvas.text(self.gate_x + 0.4 + 0.185, y, "out", ha="left")

    def _output_y(self) -> float:
        return (self.rows[1] + self.gate_y) / 2

    def _legend_lines(self) -> list[list[tuple[str, str, float]]]:
        """Lines of (kind, colour, left end)."""
        kinds = {
            kind_of(edge.operator).name: kind_of(edge.operator).color for _, edge in self.genotype.edges()
        }
        lines, x = [list[tuple[str, str, float]]()], self.split_x
        for name, color in sorted(kinds.items()):
            width = 0.16 + width_of(name, SMALL) + 0.2
            if x + width > self.width and lines[-1]:
                lines.append([])
                x = self.split_x
            lines[-1].append((name, color, x))
            x += width
        return lines

    def _draw_legend(self) -> None:
        for row, line in enumerate(reversed(self.legend)):
            y = 0.12 + 0.17 * row
            for name, color, x in line:
                self.canvas.box(x, y - 0.04, 0.1, 0.08, color, tint(color))
                self.canvas.text(x + 0.16, y, name, size=SMALL, ha="left")


def _wrap(name: str) -> list[str]:
    """Breaks a long name before an underscore."""
    first, *parts = name.split("_")
    lines = [first]
    for part in parts:
        if len(lines[-1]) + len(part) + 1 > LABEL_CHARACTERS:
            lines.append("")
        lines[-1] += f"_{part}"
    return [line for line in lines if line]
