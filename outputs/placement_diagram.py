"""Shows a placement: in the terminal as a table, in a file as the stages of its network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from outputs.draw import CLOSE, write_figure
from outputs.kinds import Kind, kind_of
from search_space.placement import Placement, Standing
from search_space.space import NONE
from search_space.term import attention_of, short_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Shares = Mapping[str, Mapping[str, float]]
"""Site -> candidate -> its share of the mixture there."""

BLOCK, ROW, GAP = 0.62, 0.34, 0.12
"""Width of a block, height of a row and the space between two parts of the drawing, in inches."""


def contest(standing: Standing, shares: Shares | None) -> tuple[float, float, str] | None:
    """Share of what stands at a site, its lead over the runner-up, and that one; None where not known."""
    row = (shares or {}).get(standing.site)
    if row is None or standing.attention not in row:
        return None
    share = row[standing.attention]
    others = {name: value for name, value in row.items() if name != standing.attention}
    second = max(others, key=others.__getitem__, default="-")
    return share, share - others.get(second, 0.0), second


def terminal(placement: Placement, shares: Shares | None = None) -> Table:
    """The sites as a table, with shares and margins where they are known.

    Args:
        placement: What to show.
        shares: What the search left; None for a placement without it.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    staged = any(attention_of(standing.site) is None for standing in placement.standings)
    for title in ("stage", "site", "attention") if staged else ("site", "attention"):
        table.add_column(title, no_wrap=True)
    table.add_column("channels", justify="right")
    if shares is not None:
        for title in ("share %", "margin %"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("runner-up", no_wrap=True)
    for standing in placement.standings:
        known, taken = contest(standing, shares), standing.attention != NONE
        text = Text(short_label(standing.attention), style=_kind(standing).color if taken else "dim")
        row = [Text(standing.site), text, Text(str(standing.channels))]
        row = [Text(standing.stage or "-"), *row] if staged else row
        if known is not None:
            share, margin, second = known
            row += [Text(f"{100 * share:.1f}", style="bold")]
            row += [Text(f"{100 * margin:.1f}", style="yellow" if margin < CLOSE else "")]
            row += [Text(short_label(second), style="dim")]
        table.add_row(*row)
    return table


def figure(placement: Placement, shares: Shares | None = None) -> Figure:
    """The stages of the network from left to right, their blocks from top to bottom, what stands beside each.

    Args:
        placement: What to draw.
        shares: Printed beside what stands, with the margin.
    """
    from outputs.canvas import INK, PALE, SMALL, WIRE, Canvas, tint, width_of

    stages = list(placement.stages.values())
    labels = {
        standing.site: (short_label(standing.attention), _contested(standing, shares))
        for standing in placement.standings
    }
    wide = [max(sum(_widths(*labels[each.site])) for each in stage) for stage in stages]
    kinds = dict.fromkeys(_kind(standing) for standing in placement.taken())
    title = f"{placement.network}: {len(list(placement.taken()))} of {len(placement.standings)} sites"
    title += "; share, and lead over the runner-up" if shares else ""
    columns = [BLOCK + 2 * GAP + 0.1 + width + 2 * GAP for width in wide]
    legend = sum(width_of(kind.name, SMALL) + 0.3 for kind in kinds)
    width = max(sum(columns) + GAP, width_of(title) + 0.4, legend + 0.3)
    tall = max(map(len, stages))
    height = ROW * tall + 0.75 + (0.25 if kinds else 0.0)
    canvas = Canvas(width, height)
    canvas.text(GAP + 0.05, height - 0.16, title, ha="left")
    x, top = GAP, height - 0.6
    for stage, column in zip(stages, columns):
        middle = x + BLOCK / 2
        name = f"stage {stage[0].stage}" if stage[0].stage else "network"
        name = attention_of(stage[0].site) or name
        canvas.text(middle, top + 0.2, name, size=SMALL, color=WIRE)
        bottom = top - ROW * (len(stage) - 1) - ROW / 2
        canvas.wire([(middle, top + 0.1), (middle, bottom - 0.2)], arrow=True)
        for number, standing in enumerate(stage):
            y = top - ROW * number - ROW / 2
            canvas.box(x, y - 0.1, BLOCK, 0.2, WIRE, PALE)
            canvas.text(middle, y, _block_name(standing), size=SMALL)
            attention, contested = labels[standing.site]
            taken, kind = standing.attention != NONE, _kind(standing)
            start = x + BLOCK + 2 * GAP
            if taken:
                long = _widths(attention, "")[0]
                canvas.wire([(x + BLOCK, y), (start, y)], kind.color, arrow=True)
                canvas.box(start, y - 0.1, long, 0.2, kind.color, tint(kind.color))
                canvas.text(start + long / 2, y, attention, gid=f"site {standing.site}")
                start += long + 0.06
            else:
                canvas.text(start, y, "none", color=WIRE, ha="left", gid=f"site {standing.site}")
                start += width_of("none") + 0.06
            canvas.text(start, y, contested, size=SMALL, color=INK if taken else WIRE, ha="left")
        x += column
    x = GAP + 0.05
    for kind in kinds:
        canvas.box(x, 0.1, 0.1, 0.1, kind.color, tint(kind.color))
        canvas.text(x + 0.16, 0.15, kind.name, size=SMALL, ha="left")
        x += width_of(kind.name, SMALL) + 0.3
    return canvas.figure


def save(placement: Placement, path: str | Path, shares: Shares | None = None) -> Path:
    """Draws a placement into a file, of the format that the suffix names; see `outputs.draw.save`.

    Raises:
        InputError: If the suffix is none of those, or the folder does not exist.
    """
    return write_figure(path, lambda: figure(placement, shares))


def _widths(attention: str, contested: str) -> tuple[float, float]:
    """Widths in inches of the box of an attention and of the text beside it."""
    from outputs.canvas import SMALL, width_of

    return width_of(attention) + 0.14, (width_of(contested, SMALL) + 0.1 if contested else 0.0)


def _contested(standing: Standing, shares: Shares | None) -> str:
    known = contest(standing, shares)
    return "" if known is None else f"{known[0]:.0%}, +{known[1]:.0%}"


def _block_name(standing: Standing) -> str:
    """The name of a site without its stage, as far as it fits into a block: 0.bn2."""
    parts = standing.site.split(".")
    name = ".".join(parts[-2:])
    return name if len(name) <= 12 else f"…{name[-11:]}"


def _kind(standing: Standing) -> Kind:
    """The kind of what stands at a site: that of its first operator."""
    name = standing.attention.partition("+")[0].partition("[")[0]
    if name.partition(":")[0] == "hoga":
        return Kind(name="cell", color="#86469C")
    return kind_of(name)
