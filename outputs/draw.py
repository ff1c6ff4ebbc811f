"""Shows a genotype: in the terminal, and as a drawing in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from foundation.errors import InputError
from foundation.files import write_atomically
from outputs.kinds import kind_of
from search_space.genotype import Fuse, Genotype
from search_space.space import NONE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Shares = Mapping[tuple[int, int], Mapping[str, float]]
"""(node, state index) -> primitive -> softmax weight."""

SUFFIXES = (".svg", ".png", ".pdf")

CLOSE = 0.05
"""A margin below this is marked: another seed may well choose the runner-up."""

_FUSE: Mapping[Fuse, str] = {
    "double": "1x1, BN, ReLU, 1x1, BN of all nodes and s",
    "single": "1x1, BN of all nodes and s",
    "none": "s is added to every node",
}
_ASCII = str.maketrans("│├┤┼└┴─▶◀", "|+++++-><")


def margin(shares: Mapping[str, float]) -> float:
    """The best candidate's share minus the runner-up's, both without `none`; its share if it is alone."""
    first, second = (*sorted(_candidates(shares).values(), reverse=True), 0.0, 0.0)[:2]
    return first - second


def terminal(genotype: Genotype, shares: Shares | None = None) -> RenderableType:
    """The edges as a table, with shares and margins where they are known, and the cell as text.

    Args:
        genotype: What to show.
        shares: What the search left; None for a genotype without it.
    """
    return Group(_table(genotype, shares), Text(), Padding(_Lanes(genotype), (0, 0, 0, 1)))


def figure(genotype: Genotype, shares: Shares | None = None) -> Figure:
    """The cell as a graph, from the channel groups on the left to the output on the right.

    Args:
        genotype: What to draw.
        shares: Printed under the operators, and as the width of the lines.
    """
    from outputs.diagram import Diagram

    of_edges = {
        (node, edge.index): shares[node, edge.index][edge.operator]
        for node, edge in genotype.edges()
        if shares is not None and edge.operator in shares.get((node, edge.index), {})
    }
    return Diagram(genotype, of_edges).draw()


def save(genotype: Genotype, path: str | Path, shares: Shares | None = None) -> Path:
    """Draws the cell into a file, of the format that the suffix names; the same cell gives the same bytes.

    The file appears whole or not at all.

    Raises:
        InputError: If the suffix is none of `SUFFIXES`, or the folder does not exist.
    """
    return write_figure(path, lambda: figure(genotype, shares))


def write_figure(path: str | Path, draw: Callable[[], Figure]) -> Path:
    """Draws into a file, of the format that the suffix names; the same drawing gives the same bytes.

    Raises:
        InputError: If the suffix is none of `SUFFIXES`, or the folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"cannot draw into {path.name!r}; end the name in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise InputError(f"no folder at {path.parent}; create it first")
    import matplotlib

    form = path.suffix.lower()[1:]
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[form]
    settings: Any = {"svg.hashsalt": "autola", "svg.fonttype": "none", "pdf.fonttype": 42}
    with matplotlib.rc_context(settings):
        drawn = draw()
        write_atomically(path, lambda file: drawn.savefig(file, format=form, dpi=250, metadata=undated))
    return path


def _candidates(shares: Mapping[str, float]) -> dict[str, float]:
    return {name: share for name, share in shares.items() if name != NONE}


def _table(genotype: Genotype, shares: Shares | None) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("edge", no_wrap=True)
    table.add_column("operator", no_wrap=True)
    if shares is not None:
        for title in ("share %", "margin %"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("runner-up", no_wrap=True)
        table.add_column(f"{NONE} %", justify="right", no_wrap=True)
    for node, edge in genotype.edges():
        row = [Text(f"{edge.source} -> h{node}"), Text(edge.operator, style=kind_of(edge.operator).color)]
        of_edge = (shares or {}).get((node, edge.index))
        if of_edge:
            others = {name: share for name, share in _candidates(of_edge).items() if name != edge.operator}
            lead = margin(of_edge)
            row += [
                Text(_percent(of_edge.get(edge.operator)), style="bold"),
                Text(_percent(lead), style="yellow" if lead < CLOSE else ""),
                Text(max(others, key=others.__getitem__, default="-"), style="dim"),
                Text(_percent(of_edge.get(NONE)), style="dim"),
            ]
        table.add_row(*row)
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


class _Lanes:
    """Every node a lane that runs down from where it is complete; a row for every edge.

    h1 ◀ x1  skip_connect
    │
    │  h2 ◀ x2  sep_conv_3x3_spatial
    ├──┤  ◀ h1  sep_conv_3x3
    """

    def __init__(self, genotype: Genotype) -> None:
        self.genotype = genotype

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = self._lines()
        for line in lines:
            if options.ascii_only:
                line.plain = line.plain.translate(_ASCII)
        yield Text("\n").join(lines)

    def _lines(self) -> list[Text]:
        num_nodes = len(self.genotype.nodes)
        lines = list[Text]()
        for i, node in enumerate(self.genotype.nodes, 1):
            for row, edge in enumerate(node.edges):
                line = _wire(edge.index, i)
                end = f"h{i}" if row == 0 else "┤ "
                line.append(end.ljust(4), style="bold" if row == 0 else "")
                line.append("◀ ")
                line.append(edge.source.ljust(4))
                line.append(edge.operator, style=kind_of(edge.operator).color)
                lines.append(line)
            lines.append(Text("│  " * i))
        groups = " + ".join(f"x{i}" for i in range(1, num_nodes + 1))
        if len(groups) > 40:
            groups = f"x1 + ... + x{num_nodes}"
        lines.append(Text.assemble("│  " * num_nodes, ("s", "bold"), f"   ◀ SE({groups})"))
        lines.append(Text("└──" + "┴──" * num_nodes + "▶ fuse ─▶ + x ─▶ SE ─▶ out"))
        lines.append(Text(f"fuse: {_FUSE[self.genotype.fuse]}", style="dim"))
        return lines


def _wire(source: int, node: int) -> Text:
    """The lanes left of a node's, with a wire from one of them to it (none from its own group)."""
    if source == 0:
        return Text("│  " * (node - 1))
    return Text("│  " * (source - 1) + "├──" + "┼──" * (node - source - 1))
