"""What NNI's tuners propose, as a proposer of ours: a function of the seed and the history alone."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from foundation.seeds import seed_of
from searchers.candidates import TRIES, Candidates, History, Trial, best_of

REFUSED = -1.0
"""The score that a tuner is given for a genotype beyond the limits, and for a trial that failed."""


@dataclass(frozen=True)
class Asked:
    """What a tuner proposed: its own number and form of it; None where it had nothing more to propose."""

    genotype: Any
    number: int | None = None
    parameters: Any = None


class TunerProposer:
    """Asks a tuner, and reports to it what became of its proposals.

    A tuner cannot be stored: where the history is not the one that it lived through, it is built anew and
    lives through the history again, with the same draws.

    Args:
        build: Builds the tuner, which maximises over the candidates' edges.
        candidates: What may be proposed.
    """

    def __init__(self, build: Callable[[], Any], candidates: Candidates) -> None:
        self.build, self.candidates = build, candidates
        self._begin()

    def _begin(self) -> None:
        self.tuner: Any = None
        self.asked = list[Asked]()
        self.reported = dict[int, Trial]()
        self.number = 0

    def __call__(self, history: History) -> Any:
        if not self._lived_through(history):
            self._begin()
        if self.tuner is None:
            import nni  # noqa: F401  it sets its logging up anew when it is imported

            logging.getLogger("nni").setLevel(logging.WARNING)  # what is routine for it is noise here
            with seeded(self.candidates.seed, "tuner"):
                self.tuner = self.build()
        for place, trial in enumerate(history):
            if place == len(self.asked):
                self.asked.append(self._next(history[:place]))
            if place not in self.reported and (trial.score is not None or trial.failed):
                self._report(place, trial)
        if len(self.asked) == len(history):
            self.asked.append(self._next(history))
        return self.asked[len(history)].genotype

    def _lived_through(self, history: History) -> bool:
        """Whether the history goes on where this tuner stands."""
        if len(history) + 1 < len(self.asked):
            return False
        return all(history[place] == trial for place, trial in self.reported.items() if place < len(history))

    def _next(self, history: History) -> Asked:
        """The tuner's next proposal that keeps the limits; it learns that the others are worthless."""
        import nni

        space = self.candidates.space
        for _ in range(TRIES):
            number = self.number
            self.number += 1
            with seeded(self.candidates.seed, "ask", number):
                try:
                    parameters = self.tuner.generate_parameters(number)
                except nni.NoMoreTrialError:  # it has proposed everything and proposes nothing twice
                    return Asked(best_of(history) or self._fallback(history))
            genotype = space.genotype([operator_of(parameters[name_of(edge)]) for edge in space.rows])
            if self.candidates.allows(genotype):
                return Asked(genotype, number, parameters)
            self._receive(number, parameters, REFUSED)
        return Asked(self._fallback(history))

    def _fallback(self, history: History) -> Any:
        return self.candidates.sample(self.candidates.rng("fallback", history))

    def _report(self, place: int, trial: Trial) -> None:
        self.reported[place] = trial
        asked = self.asked[place]
        if asked.number is None:
            return
        if trial.genotype == asked.genotype:
            self._receive(asked.number, asked.parameters, REFUSED if trial.score is None else trial.score)
        # Else an experiment that was stopped since proposed it while fewer results were in: it is lost here.

    def _receive(self, number: int, parameters: Any, score: float) -> None:
        with seeded(self.candidates.seed, "tell", number):
            self.tuner.receive_trial_result(number, parameters, score)


def name_of(row: tuple[int, int] | str) -> str:
    """What a tuner calls an edge (node, state), or a site."""
    return row if isinstance(row, str) else f"h{row[0]}_{row[1]}"


def choices(candidates: Candidates, kind: str = "choice") -> dict[str, Any]:
    """The space as NNI writes it: for every row a choice among the candidates."""
    space = candidates.space
    names = {row: [space.primitives[column] for column in space.columns_at(row)] for row in space.rows}
    return {name_of(row): {"_type": kind, "_value": known} for row, known in names.items()}


def operator_of(value: Any) -> str:
    """The operator that a tuner chose; one of them wraps it."""
    return value["_value"] if isinstance(value, dict) else value


@contextmanager
def seeded(*purpose: int | str) -> Iterator[int]:
    """Seeds the generators that NNI shares with everyone, and leaves them as they were; gives the seed."""
    import numpy as np

    seed = seed_of(*purpose) % 2**32
    states = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield seed
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
