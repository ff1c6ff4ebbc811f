"""Pictures of an analysis: selectivity, saliency, gates, edges and features, as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foundation.files import write_atomically
from outputs.analysis import EdgeDrop

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#1D4ED8", "#C2410C", "#047857", "#7E22CE", "#B91C1C", "#0E7490", "#A16207", "#4B5563")
DOTS = 110
"""Dots per inch."""


def draw_selectivity(
    values: Mapping[str, Mapping[str, np.ndarray]], path: Path, stages: Sequence[Sequence[str]]
) -> None:
    """Draws the class selectivity of all channels: a panel a stage, a box a network.

    Args:
        values: Name of the network, then of the stage, to the index of each channel that has one.
        path: File to write.
        stages: Names of the stages that make a panel: the first of every network, then the second ...
    """
    figure, panels = _panels(1, len(stages), (0.6 + 0.35 * len(values), 3.2), least=2.0)
    for panel, names in zip(panels[0], stages):
        for number, of_stage in enumerate(values.values()):
            known = [of_stage[name] for name in dict.fromkeys(names) if name in of_stage]
            if not known or not len(known[0]):
                continue
            color = COLORS[number % len(COLORS)]
            box = panel.boxplot(known[0], positions=[number], widths=0.6, showfliers=False)
            for parts in box.values():
                for line in parts:
                    line.set_color(color)
            panel.plot(number, known[0].mean(), "D", color=color, markersize=3.5)
        panel.set_title(" / ".join(dict.fromkeys(names)), fontsize=8)
        panel.set_xticks(range(len(values)), list(values), rotation=90, fontsize=7)
        panel.set_ylim(-0.03, 1.03)
        panel.tick_params(axis="y", labelsize=7)
    panels[0][0].set_ylabel("class selectivity of channels, diamond: mean", fontsize=7)
    _save(figure, path)


def draw_edges(rows: Sequence[EdgeDrop], score: str, path: Path) -> None:
    """Draws how much each edge contributes: a panel an attention, a bar an edge, with its interval."""
    attentions = list(dict.fromkeys(row.attention for row in rows))
    height = 1.1 + 0.26 * max(sum(row.attention == name for row in rows) for name in attentions)
    figure, panels = _panels(1, len(attentions), (4.6, height))
    for panel, attention in zip(panels[0], attentions):
        own = [row for row in rows if row.attention == attention][::-1]
        drops = [100 * row.drop for row in own]
        panel.barh(range(len(own)), drops, color=["#1D4ED8" if drop > 0 else "#C2410C" for drop in drops])
        for place, row in enumerate(own):
            if row.low is not None and row.high is not None:
                ends = [100 * row.low, 100 * row.high]
                panel.plot(ends, [place, place], color="#1F2937", linewidth=1, solid_capstyle="butt")
        panel.set_yticks(range(len(own)), [f"{row.edge}  {row.operator}" for row in own], fontsize=7)
        panel.axvline(0, color="#8A93A0", linewidth=0.8)
        panel.set_xlabel(f"{score} lost without the edge\n(points; lines: 95 % intervals)", fontsize=7)
        panel.tick_params(axis="x", labelsize=7)
        panel.set_title(_short(attention, 60), fontsize=8)
    _save(figure, path)


def draw_features(
    positions: Mapping[str, np.ndarray], labels: np.ndarray, classes: Sequence[str], path: Path
) -> None:
    """Draws embedded features: a panel a network, a point an image, a colour a class.

    Args:
        positions: Name of the network to the positions (n, 2).
        labels: Class of each image (n,).
        classes: Their names; those of few are written at the middle of their points.
        path: File to write.
    """
    from matplotlib import colormaps

    colors: Any = colormaps["tab10" if len(classes) <= 10 else "tab20" if len(classes) <= 20 else "hsv"]
    shade = labels / max(len(classes), 1) if len(classes) > 20 else labels
    columns = min(len(positions), 3)
    figure, panels = _panels(-(-len(positions) // columns), columns, (3.4, 3.4))
    flat = [panel for row in panels for panel in row]
    for panel, (network, xy) in zip(flat, positions.items()):
        limits: dict[str, Any] = (
            {} if len(classes) > 20 else {"vmin": -0.5, "vmax": (10 if len(classes) <= 10 else 20) - 0.5}
        )
        panel.scatter(xy[:, 0], xy[:, 1], c=shade, cmap=colors, s=5, linewidths=0, **limits)
        for number in np.unique(labels) if len(classes) <= 20 else ():
            x, y = np.median(xy[labels == number], 0)
            text = _short(classes[int(number)], 14)
            box = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.8}
            panel.text(x, y, text, fontsize=6.5, ha="center", va="center", bbox=box)
        panel.set_title(network, fontsize=8)
    for panel in flat:
        panel.set_axis_off()
    _save(figure, path)


def draw_saliency(
    image: np.ndarray,
    networks: Mapping[str, tuple[str, np.ndarray, np.ndarray | None]],
    path: Path,
) -> None:
    """Draws an image beside what each network sees in it: Grad-CAM above, guided backpropagation below.

    Args:
        image: As the networks saw it (h, w, 3), 0 to 1.
        networks: Name of the network to a line about it, its Grad-CAM (h2, w2), and the guided gradient
            (c, h, w); None where there is none.
        path: File to write.
    """
    figure, panels = _panels(2, len(networks) + 1, (2.0, 2.15))
    panels[0][0].imshow(image)
    panels[0][0].set_title("image", fontsize=8)
    height, width = image.shape[:2]
    for column, (name, (said, cam, gradient)) in enumerate(networks.items(), 1):
        above, below = panels[0][column], panels[1][column]
        above.imshow(image, extent=(0, width, height, 0))
        top = cam.max()
        shown = cam / top if top > 0 else cam
        extent = (0, width, height, 0)
        above.imshow(shown, cmap="jet", alpha=0.5, interpolation="bilinear", extent=extent, vmin=0, vmax=1)
        above.set_title(f"{_short(name, 26)}\n{said}", fontsize=7)
        if gradient is not None:
            below.imshow(_centred(gradient))
    if any(gradient is not None for _, _, gradient in networks.values()):
        said, corner = "above: Grad-CAM\nbelow: guided\nbackpropagation", panels[1][0]
        corner.text(0.5, 0.5, said, ha="center", va="center", fontsize=7, transform=corner.transAxes)
    for row in panels:
        for panel in row:
            panel.set_axis_off()
    _save(figure, path)


def draw_gates(
    image: np.ndarray, maps: Mapping[str, Mapping[str, np.ndarray]], path: Path, title: str
) -> None:
    """Draws the gates of a network for an image: a row a site, a column a gate, one scale for all.

    Args:
        image: As the network saw it (h, w, 3), 0 to 1.
        maps: Name of the site, then of the gate, to its map (h, w); of a gate of channels alone their factors
            (1, c), which are drawn as bars.
        path: File to write.
        title: What is shown.
    """
    gates = list(dict.fromkeys(gate for row in maps.values() for gate in row))
    width = max(1.25, 3.6 / (len(gates) + 1))
    figure, panels = _panels(len(maps), len(gates) + 1, (width, 1.35 + 0.5 / len(maps)))
    for row, (site, of_site) in zip(panels, maps.items()):
        row[0].imshow(image)
        row[0].set_title(site, fontsize=6)
        for panel, gate in zip(row[1:], gates):
            if gate in of_site:
                factors = of_site[gate]
                extent = (0, 1, 0, 1)
                panel.imshow(factors, cmap="viridis", vmin=0, vmax=1, extent=extent, interpolation="nearest")
                panel.set_title(f"{gate}\nmean {factors.mean():.2f}", fontsize=6)
        for panel in row:
            panel.set_axis_off()
    said = (
        "dark 0, yellow 1; maps: mean over channels;\nbars: factors of the channels of a gate of these alone"
    )
    figure.suptitle(f"{title}\n{said}", fontsize=7)
    _save(figure, path)


def _centred(gradient: np.ndarray) -> np.ndarray:
    """A gradient (c, h, w) as a picture whose grey is 0."""
    picture = gradient.transpose(1, 2, 0)
    scale = np.quantile(np.abs(picture), 0.995)
    picture = 0.5 + picture / (2 * scale if scale > 0 else 1)
    return np.clip(np.broadcast_to(picture, (*picture.shape[:2], 3)), 0, 1)


def _panels(
    rows: int, columns: int, each: tuple[float, float], least: float = 1.0
) -> tuple[Figure, Sequence[Sequence[Axes]]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * max(each[0], least), rows * each[1]), layout="constrained")
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(rows, columns, squeeze=False)
    return figure, panels


def _save(figure: Figure, path: Path) -> None:
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=DOTS, format="png"))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
