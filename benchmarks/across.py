"""Differences between rows of two comparisons: another search beside the same random cells, or cells from
another network beside those that were searched in this.

Both are trained alike, as their settings have to show: the same data, network and recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autola.comparing.config import CompareConfig
from benchmarks.publishing import ROOT
from evaluators.statistics.difference import Difference, difference
from evaluators.statistics.family import ALARM, holm
from evaluators.statistics.nested import Nested
from foundation.config import parse_json
from foundation.errors import InputError
from outputs.comparison import COMPARISON, Comparison
from outputs.records import CONFIG


@dataclass(frozen=True)
class Trained:
    """A row of a comparison, in one network.

    Attributes:
        study: Whose it is.
        comparison: Its name within the study.
        row: Its name.
        backbone: The network, where the comparison has several; else empty.
    """

    study: str
    comparison: str
    row: str
    backbone: str = ""

    def __str__(self) -> str:
        return f"{self.row} of {self.comparison}"

    def folder(self, published: Path) -> Path:
        """Where its comparison is kept."""
        return published / f"study-{self.study}" / self.comparison


@dataclass(frozen=True)
class Across:
    """A row minus another, each of its own comparison."""

    first: Trained
    second: Trained


def lines(pairs: Sequence[Across], published: Path) -> list[str]:
    """A line for every difference whose scores are there: points, their interval, the chance by Holm.

    Args:
        pairs: What is compared.
        published: Folder of the folders of all studies.

    Raises:
        InputError: If two rows were not trained alike.
    """
    found = list[tuple[Across, Difference]]()
    for pair in pairs:
        first, second = (_scores(row, published) for row in (pair.first, pair.second))
        if first is not None and second is not None:
            _check_alike(pair, published)
            found.append((pair, difference(first, second)))
    chances = holm([each.p_value() for _, each in found])
    return [_line(pair, each, chance) for (pair, each), chance in zip(found, chances, strict=True)]


def _scores(row: Trained, published: Path) -> Nested | None:
    """What a row scored, cell by cell; None where nothing of it is there."""
    file = row.folder(published) / COMPARISON
    if not file.is_file():
        return None
    told = parse_json(Comparison, file.read_text(encoding="utf-8"), str(file))
    cells = [each.cells for each in told.rows if (each.name, each.block) == (row.row, row.backbone)]
    return Nested(tuple(cell.scores for cell in cells[0])) if cells else None


def _check_alike(pair: Across, published: Path) -> None:
    trained = [_training(row, published) for row in (pair.first, pair.second)]
    if trained[0] != trained[1]:
        raise InputError(
            f"{pair.first} and {pair.second} are not trained alike: data, network or recipe differ"
        )


def _training(row: Trained, published: Path) -> tuple[object, object]:
    """Task and recipe, wherever the data lie."""
    file = row.folder(published) / CONFIG
    config = parse_json(CompareConfig, file.read_text(encoding="utf-8"), str(file))
    task = replace(config.task, data=replace(config.task.data, root=ROOT))  # pyright: ignore
    if row.backbone:
        task = replace(task, backbone=row.backbone)  # pyright: ignore[reportCallIssue]
    return task, config.train


def _line(pair: Across, found: Difference, chance: float | None) -> str:
    where = f" in {pair.first.backbone}" if pair.first.backbone else ""
    line = f"{pair.first} - {pair.second}{where}: {100 * found.estimate:+.2f}"
    interval = found.interval()
    if interval is None or chance is None:
        return f"{line}; no interval, as the spread of one is not known"
    low, high = (100 * end for end in interval)
    verdict = "a difference is shown" if chance < ALARM else "no difference shown"
    return f"{line} ({low:+.2f} to {high:+.2f}), p {chance:.2f} by Holm: {verdict}"
