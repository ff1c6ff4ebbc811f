"""The Pareto front of several searches: a table, and a picture that is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foundation.config import config
from foundation.files import write_atomically

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


def dominated(point: Point, others: Sequence[Point], metrics: Sequence[str]) -> bool:
    """Whether another point is as good in score and all costs, and better in one of them."""

    def better(other: Point) -> bool:
        pairs = [(point.score, other.score), *((-point.costs[m], -other.costs[m]) for m in metrics)]
        return all(theirs >= ours for ours, theirs in pairs) and any(t > o for o, t in pairs)

    return any(better(other) for other in others)


TITLES = {"macs": "multiply-accumulates (M)", "params": "parameters (k)", "latency": "latency (ms)"}
UNITS = {"macs": 1e6, "params": 1e3, "latency": 1.0}


def draw_front(front: Front, path: Path) -> None:
    """Draws score over cost into a PNG file, a panel for every cost that was limited."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(front.metrics), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(front.metrics), squeeze=False, sharey=True)[0]
    for panel, metric in zip(panels, front.metrics):
        for on_front, marker, color in ((True, "o", "#1D4ED8"), (False, "x", "#8A93A0")):
            points = [point for point in front.points if point.on_front == on_front]
            xs = [point.costs[metric] / UNITS[metric] for point in points]
            panel.plot(xs, [100 * point.score for point in points], marker, color=color)
            for x, point in zip(xs, points):
                panel.annotate(
                    point.target, (x, 100 * point.score), (4, 4), textcoords="offset points", fontsize=6
                )
        panel.set_xlabel(TITLES[metric])
        panel.margins(0.2)
    panels[0].set_ylabel("accuracy on the second half (%)")
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150, format="png"))
