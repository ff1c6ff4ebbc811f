"""What an analysis of trained networks found, as JSON, CSV and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from foundation.config import config, to_json
from foundation.files import write_atomically, write_text
from outputs.csv_table import write_csv

ANALYSIS, MAPS = "analysis.json", "maps.npz"
SELECTIVITY, EDGES, FEATURES, GATES = "selectivity.csv", "edges.csv", "features.csv", "gates.csv"
"""Names of the records."""

FOLDER = "analysis"
"""Folder of an analysis in that of the first run, where no other is named."""


@config
class AnalysedNetwork:
    """One training."""

    name: str
    """As the other parts name it."""
    run: str
    """Its folder."""
    attention: str
    """In the grammar."""
    seed: int
    """Its seed."""
    score: float | None
    """Score on the images that were looked at, a share of 1; None where nothing asked for it."""


@config
class StageSelectivity:
    """Class selectivity of the channels of one stage; each channel's is in selectivity.csv."""

    network: str
    """Name of the network."""
    stage: str
    """Name of the module."""
    channels: int
    """Channels that answer to anything."""
    silent: int
    """Channels that answer to no image, which have no index."""
    mean: float | None
    """Mean of the index over the channels; None where all are silent."""
    deviation: float | None
    """Standard deviation over the channels."""


@config
class EdgeDrop:
    """What is lost without one edge of a cell."""

    attention: str
    """Attention that the edge is of."""
    edge: str
    """Where it leads from and to."""
    operator: str
    """What is on it."""
    networks: int
    """Trainings of that attention."""
    score: float
    """Mean score of the whole networks, a share of 1."""
    drop: float
    """How much lower it is without the edge; negative where the network is better without."""
    deviation: float | None
    """Standard deviation of the drop over trainings; of a single training, of its mean over images."""
    low: float | None
    """Lower end of the 95 % interval of the drop, of this edge alone; None where its spread is not known."""
    high: float | None
    """Upper end."""
    over: Literal["trainings", "images"] | None
    """What the spread is over; None where there is one training, whose score is no mean over images."""


@config
class Explained:
    """The class whose evidence is shown for an image."""

    image: str
    """Path of the image, or its number among the examples of the data."""
    network: str
    """Name of the network."""
    shown: str
    """Class that is explained."""
    probability: float
    """What the network gives it."""


@config
class GateRow:
    """One gate for one image; its map is in maps.npz."""

    image: str
    """Path of the image, or its number among the examples of the data."""
    network: str
    """Name of the network."""
    site: str
    """Module that the attention follows."""
    gate: str
    """Edge of the cell, or part of the module."""
    operator: str
    """Name of its class."""
    reach: Literal["channels", "positions", "both"]
    """What its factors differ over."""
    mean: float
    """Mean of the factors."""
    lowest: float
    """Lowest of the map; of a gate of channels, of these."""
    highest: float
    """Highest."""


@config
class Picture:
    """A picture in the folder."""

    file: str
    """Its name."""
    title: str
    """What it shows."""
    summary: str
    """What can be seen, for those who do not see it."""


@config
class Analysis:
    """What was found in trained networks."""

    folder: str
    """Where it lies."""
    task: str
    """What they were trained for."""
    score: str
    """What the scores are."""
    split: Literal["validation", "test"]
    """Part of the data that numbers are of."""
    num_images: int | None
    """Images of that part, where they were looked at one by one."""
    networks: tuple[AnalysedNetwork, ...]
    """In the order that they were named."""
    selectivity: tuple[StageSelectivity, ...]
    """First to last stage of each network."""
    edges: tuple[EdgeDrop, ...]
    """Of each attention with a cell."""
    explained: tuple[Explained, ...]
    """Of each image and network."""
    gates: tuple[GateRow, ...]
    """Of each image, network and site."""
    left_out: tuple[str, ...]
    """What was not done, and why."""
    pictures: tuple[Picture, ...]
    """In the order to look at them."""
    versions: Mapping[str, str]
    """Of what computed it."""


def write_analysis(
    analysis: Analysis,
    folder: Path,
    *,
    channels: Sequence[Sequence[object]],
    positions: Sequence[Sequence[object]],
    maps: Mapping[str, np.ndarray],
) -> None:
    """Writes an analysis into a folder.

    Args:
        analysis: Its figures.
        folder: Where to write; the pictures are there.
        channels: Rows (network, stage, channel, index) of the class selectivity of each channel.
        positions: Rows (network, image, class, x, y) of the embedding.
        maps: Arrays by name: saliency and gates of each image.
    """
    if channels:
        write_csv(folder / SELECTIVITY, ["network", "stage", "channel", "selectivity"], channels)
    if positions:
        write_csv(folder / FEATURES, ["network", "image", "class", "x", "y"], positions)
    for name, rows in ((EDGES, analysis.edges), (GATES, analysis.gates)):
        if rows:
            write_csv(folder / name, list(vars(rows[0])), [list(vars(row).values()) for row in rows])
    if maps:
        arrays: dict[str, Any] = {name: array.astype(np.float32) for name, array in maps.items()}

        def save(target: Path) -> None:
            with target.open("wb") as file:
                np.savez_compressed(file, **arrays)

        write_atomically(folder / MAPS, save)
    write_text(folder / ANALYSIS, to_json(analysis))
