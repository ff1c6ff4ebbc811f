"""Maps of attention as a picture: a row an attention, a column its weights or one of its terms."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foundation.files import write_atomically

WORD = 0.13
"""Inches that a word takes."""


@dataclass(frozen=True)
class Maps:
    """Maps between the same words.

    Attributes:
        title: Where they are from.
        queries: Words that look, from top to bottom.
        keys: Words that are looked at, from left to right.
        maps: Shares of the keys by query, by the name of the map.
    """

    title: str
    queries: Sequence[str]
    keys: Sequence[str]
    maps: Mapping[str, Sequence[Sequence[float]]]


def draw_maps(rows: Sequence[Maps], path: Path) -> None:
    """Draws maps into a PNG file; in each the largest share is black, and none white."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(len(row.maps) for row in rows)
    heights = [1.1 + WORD * len(row.queries) for row in rows]
    width = 1.1 + WORD * max(len(row.keys) for row in rows)
    figure = Figure(figsize=(max(3.0, columns * width), sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
    for row, line in zip(rows, panels):
        for panel in line[len(row.maps) :]:
            panel.axis("off")
        for panel, (name, shares) in zip(line, row.maps.items()):
            panel.imshow(shares, cmap="Greys", vmin=0, aspect="auto", interpolation="nearest")
            panel.set_title(f"{row.title}\n{name}", fontsize=6)
            panel.set_xticks(range(len(row.keys)), row.keys, rotation=90, fontsize=5)
            panel.set_yticks(range(len(row.queries)), row.queries, fontsize=5)
            panel.tick_params(length=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of words in letters that the font lacks, which are drawn as boxes
        write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=130, format="png"))
