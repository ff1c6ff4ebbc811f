"""What a search found, as its caller gets it, and as the records of its run have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from foundation.config import parse_json
from outputs.front import FRONT, Front, Point
from outputs.run_directory import RunDirectory
from search_space.genotype import Genotype
from search_space.grammar import genotype_at


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        run: The run folder.
        genotype: The genotype.
        metrics: Figures of the last epoch; of a front, the score of the best point.
        front: Where there were several targets: what was found for each, in their order.
    """

    run: Path
    genotype: Genotype
    metrics: Mapping[str, Any]
    front: tuple[Point, ...] = ()

    def _repr_svg_(self) -> str:
        """The drawing of the cell, as a notebook shows it, with the shares that the run recorded."""
        from outputs.draw import save  # slow: matplotlib

        with TemporaryDirectory() as folder:
            drawn = save(self.genotype, Path(folder) / "cell.svg", RunDirectory(self.run).shares())
            return drawn.read_text(encoding="utf-8")


def found_in(run: RunDirectory) -> Found:
    """What a complete run found.

    Raises:
        InputError: If a record is missing or damaged.
    """
    genotype = genotype_at(run.path)
    if run.has(FRONT):
        points = parse_json(Front, run.text(FRONT), str(run.path / FRONT)).points
        best = max(point.score for point in points)
        return Found(run=run.path, genotype=genotype, metrics={"score": best}, front=points)
    metrics = run.metrics.records()
    return Found(run=run.path, genotype=genotype, metrics=metrics[-1] if metrics else {})
