"""The Pareto front of several searches: a table, and a picture that is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from foundation.config import config
from foundation.files import write_atomically
from outputs.labels import Points, label_points

FRONT, PICTURE = "front.json", "front.png"


@config
class Point:
    """What a search with a target found."""

    target: str
    """Text of the target, as it was given."""
    run: str
    """Folder of the search, within that of the front."""
    genotype: str
    """Genotype that it found, in words; genotype.json of its folder has it as data."""
    score: float
    """Accuracy on the second half: of the candidate's training, or with the supernet's weights."""
    costs: dict[str, float]
    """Costs of the network: macs, params, and latency in ms where that was limited."""
    on_front: bool = False
    """Whether no other point is as good in everything and better in something."""


@config
class Front:
    """What several searches found."""

    points: tuple[Point, ...]
    """Points, one for each target, in the order given."""
    metrics: tuple[str, ...]
    """The costs that were limited: the front is of these and the score."""
    plain: dict[str, float] = field(default_factory=dict[str, float])
    """The same costs of the network without attention, as far as they are known."""


def dominated(point: Point, others: Sequence[Point], metrics: Sequence[str]) -> bool:
    """Whether another point is as good in score and all costs, and better in one of them."""

    def better(other: Point) -> bool:
        pairs = [(point.score, other.score), *((-point.costs[m], -other.costs[m]) for m in metrics)]
        return all(theirs >= ours for ours, theirs in pairs) and any(t > o for o, t in pairs)

    return any(better(other) for other in others)


TITLES = {"macs": "multiply-accumulates (M)", "params": "parameters (k)", "latency": "latency (ms)"}
UNITS = {"macs": 1e6, "params": 1e3, "latency": 1.0}
BLUE, GREY = "#1D4ED8", "#8A93A0"


def draw_front(front: Front, path: Path) -> None:
    """Draws score over cost into a PNG file, a panel for every cost that was limited.

    A line joins what is on the front of that panel; where the plain network's cost is known, it is a line as
    well, and the upper axis counts in it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0 * len(front.metrics), 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(front.metrics), squeeze=False, sharey=True)[0]
    names = [_draw_panel(panel, front, metric) for panel, metric in zip(panels, front.metrics)]
    panels[0].set_ylabel("accuracy on the second half (%)")
    panels[0].legend(*_once(panels[0]), fontsize=7, loc="lower right")
    for panel, named in zip(panels, names):
        label_points(panel, named)
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150, format="png"))


def _draw_panel(panel: Any, front: Front, metric: str) -> Points:
    """Draws score over one cost; returns where the name of each point belongs."""
    at = {id(point): (point.costs[metric] / UNITS[metric], 100 * point.score) for point in front.points}
    alone = sorted(at[id(point)] for point in front.points if not dominated(point, front.points, (metric,)))
    panel.step(*zip(*alone), where="post", color=BLUE, alpha=0.4, linewidth=1, zorder=1)
    for on_front, marker, color, label in (
        (True, "o", BLUE, "on the front"),
        (False, "x", GREY, "behind it"),
    ):
        for point in front.points:
            if point.on_front == on_front:
                panel.plot(*at[id(point)], marker, color=color, label=label, zorder=2)
    same = dict[tuple[float, float], list[str]]()
    for point in front.points:
        same.setdefault(at[id(point)], []).append(point.target)
    plain = front.plain.get(metric)
    if plain is not None:
        plain /= UNITS[metric]
        panel.axvline(plain, color=GREY, linestyle="--", linewidth=1, label="plain network", zorder=0)
        ratios = panel.secondary_xaxis("top", functions=(lambda x: x / plain, lambda x: x * plain))
        ratios.set_xlabel("times the plain network")
    panel.set_xlabel(TITLES[metric])
    panel.grid(color="#E5E7EB", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.margins(0.15)
    return [(x, y, "\n".join(targets)) for (x, y), targets in same.items()]


def _once(panel: Any) -> tuple[list[Any], list[str]]:
    """Handles and labels of a legend, each label once."""
    handles = dict[str, Any]()
    for handle, label in zip(*panel.get_legend_handles_labels()):
        handles.setdefault(label, handle)
    return list(handles.values()), list(handles)
