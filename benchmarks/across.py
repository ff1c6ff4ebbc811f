"""Differences between rows of two comparisons: another search beside the same random cells, or cells from
another network beside those that were searched in this.

Both are trained alike, as their records have to show: the same data, network and recipe. What operators cost
is each search's own, and measured anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autola.comparing.claims import scores_of
from autola.comparing.config import CompareConfig
from autola.comparing.items import full_config
from autola.comparing.rows import Block, blocks_of
from autola.comparing.settings import MOST_NAMED, unlike
from autola.data_record import COSTS
from evaluators.statistics.difference import Difference, difference
from evaluators.statistics.family import ALARM, holm
from evaluators.statistics.nested import Nested
from foundation.config import parse_json
from foundation.errors import InputError, listed
from outputs.comparison import COMPARISON, Comparison
from outputs.records import DATA
from outputs.run_directory import RunDirectory


@dataclass(frozen=True)
class KeptRow:
    """A row of a comparison, in one network.

    Attributes:
        study: Whose it is.
        comparison: Its name within the study.
        row: Its name.
        block: The network, where the comparison has several; else empty.
    """

    study: str
    comparison: str
    row: str
    block: str = ""

    def __str__(self) -> str:
        return f"{self.row} of {self.comparison}"

    def trained_in(self, config: CompareConfig) -> Block:
        """Task and recipe of its trainings, by the settings of its comparison."""
        (block,) = (each for each in blocks_of(config) if each.name == self.block)
        return block


@dataclass(frozen=True)
class Across:
    """A row minus another, each of its own comparison."""

    first: KeptRow
    second: KeptRow


def lines(pairs: Sequence[Across], kept: Callable[[str], Path]) -> list[str]:
    """A line for every difference whose scores are there: points, their interval, the chance by Holm.

    Args:
        pairs: What is compared.
        kept: Folder of a study, by its name.

    Raises:
        InputError: If two rows were not trained alike.
    """
    found = list[tuple[Across, Difference]]()
    for pair in pairs:
        runs = [RunDirectory(kept(row.study) / row.comparison) for row in (pair.first, pair.second)]
        first, second = map(_scores, runs, (pair.first, pair.second))
        if first is not None and second is not None:
            _check_alike(pair, runs)
            found.append((pair, difference(first, second)))
    chances = holm([each.p_value() for _, each in found])
    return [_line(pair, each, chance) for (pair, each), chance in zip(found, chances, strict=True)]


def _scores(run: RunDirectory, row: KeptRow) -> Nested | None:
    """What a row scored, cell by cell; None where nothing of it is there."""
    if not run.has(COMPARISON):
        return None
    told = parse_json(Comparison, run.text(COMPARISON), str(run.path / COMPARISON))
    rows = [each for each in told.rows if (each.name, each.block) == (row.row, row.block)]
    return scores_of(rows[0]) if rows else None


def _check_alike(pair: Across, runs: Sequence[RunDirectory]) -> None:
    blocks = [row.trained_in(full_config(run)) for row, run in zip((pair.first, pair.second), runs)]
    data = [{name: value for name, value in run.keys(DATA).items() if name != COSTS} for run in runs]
    first, second = ((block.task, block.train, images) for block, images in zip(blocks, data))
    if found := unlike(first, second):
        raise InputError(
            f"{pair.second} and {pair.first} are not trained alike: {listed(found, MOST_NAMED, '; ')}"
        )


def _line(pair: Across, found: Difference, chance: float | None) -> str:
    where = f" in {pair.first.block}" if pair.first.block else ""
    line = f"{pair.first} - {pair.second}{where}: {100 * found.estimate:+.2f}"
    interval = found.interval()
    if interval is None or chance is None:
        return f"{line}; no interval, as the spread of one is not known"
    low, high = (100 * end for end in interval)
    verdict = "a difference is shown" if chance < ALARM else "no difference shown"
    return f"{line} ({low:+.2f} to {high:+.2f}), p {chance:.2f} by Holm: {verdict}"
