"""What is kept of advice: its plan, the search as it goes, every score as it comes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from autola.advising.conclude import Advice
from evaluators.place_costs import PlaceTable
from foundation.config import config, parse_json, to_json
from foundation.errors import InputError
from foundation.files import write_atomically, write_text
from search_space.placement import PLACEMENT, Placement
from search_space.places import Places

PLAN, SCORES, SHARES, CHECKPOINT, ADVICE = (
    "plan.json", "scores.json", "shares.json", "search.pt", "advice.txt",
)  # fmt: skip


@config
class AdvicePlan:
    """How the time is shared out, settled before the search."""

    signature: dict[str, Any]
    """What is advised on."""
    search_steps: int
    """Steps of the search."""
    train_steps: int
    """Steps of each training."""
    search_seconds: float
    """What the search is expected to take."""
    training_seconds: float
    """What a training of every row with one seed is expected to take, at most."""
    tables: dict[str, PlaceTable]
    """What candidates cost at the sites, by metric."""

    def seeds_in(self, seconds: float, most: int) -> int:
        """Seeds that there is time for."""
        return max(0, min(most, round((seconds - self.search_seconds) / self.training_seconds)))

    def minutes_of(self, num_seeds: int) -> float:
        """Time of the search and of so many trainings of every row."""
        return (self.search_seconds + num_seeds * self.training_seconds) / 60


class AdviceRecords:
    """A folder that is written as advice goes on, or nothing.

    Args:
        path: The folder, made when the first record is written; None to keep all in memory.
    """

    CHECKPOINT_SECONDS: ClassVar[float] = 20.0

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._scores: dict[str, dict[str, float]] = {}
        self.seconds = 0.0

    def plan(self, signature: Mapping[str, Any]) -> AdvicePlan | None:
        """The plan that was begun; None for none.

        Raises:
            InputError: If the folder holds something else.
        """
        if self.path is None or not self.path.exists():
            return None
        if not (self.path / PLAN).is_file():
            raise InputError(f"{self.path} exists and holds no advice; name another folder")
        plan = parse_json(AdvicePlan, (self.path / PLAN).read_text(), str(self.path / PLAN))
        now = json.loads(json.dumps(signature))
        changed = [name for name, value in plan.signature.items() if now.get(name) != value]
        if changed:
            raise InputError(
                f"{self.path} holds advice on something else ({', '.join(changed)} differ); "
                "name another folder"
            )
        if (self.path / SCORES).is_file():
            kept = json.loads((self.path / SCORES).read_text())
            self._scores, self.seconds = kept["scores"], kept["seconds"]
        return plan

    def begin(self, plan: AdvicePlan) -> None:
        """Keeps a new plan."""
        if self.path is not None:
            self.path.mkdir(parents=True)
            write_text(self.path / PLAN, to_json(plan))

    def checkpoint(self) -> dict[str, Any] | None:
        """The state of a search that was stopped; None for none."""
        if self.path is None or not (self.path / CHECKPOINT).is_file():
            return None
        return torch.load(self.path / CHECKPOINT, weights_only=True)

    def keep_checkpoint(self, state: dict[str, Any], seconds: float) -> None:
        """Keeps the state of the search."""
        if self.path is not None:
            write_atomically(self.path / CHECKPOINT, lambda path: torch.save(state, path))
            self._write(seconds)

    def found(self, places: Places) -> tuple[Placement, dict[str, dict[str, float]]] | None:
        """What the search answered, and how the candidates competed; None if it has not ended."""
        if self.path is None or not (self.path / PLACEMENT).is_file():
            return None
        placement = places.check(Placement.from_json((self.path / PLACEMENT).read_text()))
        return placement, json.loads((self.path / SHARES).read_text())

    def keep_found(
        self, placement: Placement, shares: Mapping[str, Mapping[str, float]], seconds: float
    ) -> None:
        """Keeps what the search answered."""
        if self.path is not None:
            write_text(self.path / SHARES, json.dumps({row: dict(of) for row, of in shares.items()}) + "\n")
            write_text(self.path / PLACEMENT, placement.to_json())
            (self.path / CHECKPOINT).unlink(missing_ok=True)
        self._write(seconds)

    def score(self, row: str, seed: int) -> float | None:
        """The score of a training; None if it has not ended."""
        return self._scores.get(row, {}).get(str(seed))

    def keep_score(self, row: str, seed: int, value: float, seconds: float) -> None:
        """Keeps the score of a training."""
        self._scores.setdefault(row, {})[str(seed)] = value
        self._write(seconds)

    def conclude(self, advice: Advice, seconds: float) -> None:
        """Keeps the table and its sentence, and the placement that is advised."""
        if self.path is not None:
            write_text(self.path / ADVICE, f"{advice}\n")
        self._write(seconds)

    def _write(self, seconds: float) -> None:
        if self.path is not None:
            write_text(
                self.path / SCORES, json.dumps({"seconds": seconds, "scores": self._scores}, indent=1) + "\n"
            )
