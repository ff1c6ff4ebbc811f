"""What a search found, as its caller gets it, and as the records of its run have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from autola.conclusions import read_conclusion
from outputs.front import FRONT, Front, Point
from outputs.run_directory import RunDirectory
from search_space.genotype import Genotype
from search_space.grammar import found_at
from search_space.placement import Placement


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        run: The run folder.
        genotype: The genotype; of a search over placements, the placement.
        metrics: Figures of the last epoch; of a front, the score of the best point.
        front: Where there were several targets: what was found for each, in their order.
    """

    run: Path
    genotype: Genotype | Placement
    metrics: Mapping[str, Any]
    front: tuple[Point, ...] = ()

    def _repr_svg_(self) -> str:
        """The drawing of what was found, as a notebook shows it, with the shares that the run recorded."""
        from outputs import draw, placement_diagram  # slow: matplotlib

        run = RunDirectory(self.run)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "found.svg"
            if isinstance(self.genotype, Placement):
                placement_diagram.save(self.genotype, path, run.site_shares())
            else:
                draw.save(self.genotype, path, run.shares())
            return path.read_text(encoding="utf-8")


def found_in(run: RunDirectory) -> Found:
    """What a complete run found.

    Raises:
        InputError: If a record is missing or damaged.
    """
    genotype = found_at(run.path)
    if run.has(FRONT):
        points = read_conclusion(run, FRONT, Front).points
        best = max(point.score for point in points)
        return Found(run=run.path, genotype=genotype, metrics={"score": best}, front=points)
    metrics = run.metrics.records()
    return Found(run=run.path, genotype=genotype, metrics=metrics[-1] if metrics else {})
