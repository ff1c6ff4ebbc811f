"""NNI's tuners as searchers, in this process.

Source: Microsoft, "Neural Network Intelligence" 3.0, nni.algorithms.hpo. Each edge is a choice among the
operators. Differs from it: every tuner is seeded, two of which cannot be by their own arguments.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from foundation import rules
from foundation.config import config
from foundation.seeds import seed_of
from search_space.genotype import Genotype
from searchers.blackbox import BlackBox, Proposer
from searchers.candidates import TRIES, Candidates, History, Trial, best_of

REFUSED = -1.0
"""The score that a tuner receives for a genotype beyond the limits, and for a trial that failed."""


@config
class NniTuner(BlackBox):
    """A tuner of NNI."""

    def tuner(self, candidates: Candidates) -> Any:
        """A new tuner that maximises, over the candidates' edges."""
        raise NotImplementedError(f"{type(self).__name__} has to define tuner")

    def proposer(self, candidates: Candidates) -> Proposer:
        return TunerProposer(self, candidates)


@dataclass(frozen=True)
class Asked:
    """What a tuner proposed: its own number and form of it; None where it had nothing more to propose."""

    genotype: Genotype
    number: int | None = None
    parameters: Any = None


class TunerProposer:
    """Asks a tuner for proposals, and reports to it what became of them.

    A tuner cannot be stored: where the history is not the one that it lived through, it is built anew and
    lives through the history again, with the same draws.

    Args:
        config: Which tuner.
        candidates: What may be proposed.
    """

    def __init__(self, config: NniTuner, candidates: Candidates) -> None:
        self.config, self.candidates = config, candidates
        self._begin()

    def _begin(self) -> None:
        self.tuner: Any = None
        self.asked = list[Asked]()
        self.reported = dict[int, Trial]()
        self.number = 0

    def __call__(self, history: History) -> Genotype:
        if not self._lived_through(history):
            self._begin()
        if self.tuner is None:
            import nni  # noqa: F401  it sets its logging up anew when it is imported

            logging.getLogger("nni").setLevel(logging.WARNING)  # what is routine for it is noise here
            with seeded(self.candidates.seed, "tuner"):
                self.tuner = self.config.tuner(self.candidates)
        for index, trial in enumerate(history):
            if index == len(self.asked):
                self.asked.append(self._next(history[:index]))
            if index not in self.reported and (trial.score is not None or trial.failed):
                self._report(index, trial)
        if len(self.asked) == len(history):
            self.asked.append(self._next(history))
        return self.asked[len(history)].genotype

    def _lived_through(self, history: History) -> bool:
        """Whether the history goes on where this tuner stands."""
        if len(history) + 1 < len(self.asked):
            return False
        return all(history[index] == trial for index, trial in self.reported.items() if index < len(history))

    def _next(self, history: History) -> Asked:
        """The tuner's next proposal that keeps the limits; the others are reported to it as worthless."""
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
            genotype = space.genotype([operator_of(parameters[name_of(edge)]) for edge in space.edges])
            if self.candidates.allows(genotype):
                return Asked(genotype, number, parameters)
            self._receive(number, parameters, REFUSED)
        return Asked(self._fallback(history))

    def _fallback(self, history: History) -> Genotype:
        return self.candidates.sample(self.candidates.rng("fallback", history))

    def _report(self, index: int, trial: Trial) -> None:
        self.reported[index] = trial
        asked = self.asked[index]
        if asked.number is None:
            return
        if trial.genotype == asked.genotype:
            self._receive(asked.number, asked.parameters, REFUSED if trial.score is None else trial.score)
        # Else an experiment that was stopped since proposed it while fewer results were in: it is lost here.

    def _receive(self, number: int, parameters: Any, score: float) -> None:
        with seeded(self.candidates.seed, "tell", number):
            self.tuner.receive_trial_result(number, parameters, score)


def name_of(edge: tuple[int, int]) -> str:
    """What a tuner calls an edge (node, state)."""
    return f"h{edge[0]}_{edge[1]}"


def choices(candidates: Candidates, kind: str = "choice") -> dict[str, Any]:
    """The space as NNI writes it: for every edge a choice among the operators."""
    space = candidates.space
    return {name_of(edge): {"_type": kind, "_value": list(space.candidates)} for edge in space.edges}


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


@config
class TpeTuner(NniTuner):
    """NNI's tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011)."""

    drawn_by: ClassVar[str] = "startup_trials"

    startup_trials: int | None = None
    """Trials drawn uniformly at first, before the estimator proposes any; more explore longer. 20 if left out
    (NNI's default), or half of the trials where that is less."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rules.positive(self, "startup_trials")

    def first_draws(self) -> int:
        return max(2, self.at_most_half(self.startup_trials, 20))  # NNI's breaks down at one score alone

    def tuner(self, candidates: Candidates) -> Any:
        from nni.algorithms.hpo.tpe_tuner import TpeTuner

        arguments = {"n_startup_jobs": self.first_draws()}
        with seeded(candidates.seed, "tpe") as seed:
            tuner = TpeTuner(optimize_mode="maximize", seed=seed, tpe_args=arguments)
        tuner.update_search_space(choices(candidates))
        return tuner


@config
class EvolutionTuner(NniTuner):
    """NNI's naive evolution (Real et al., ICML 2017): of two, the better one has a child, the worse dies."""

    population: int | None = None
    """Genotypes of the population, drawn uniformly at first; more explore longer. 32 if left out (NNI's
    default), or half of the trials where that is less."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rules.positive(self, "population")

    def first_draws(self) -> int:
        return self.at_most_half(self.population, 32)

    def tuner(self, candidates: Candidates) -> Any:
        import numpy as np
        from nni.algorithms.hpo.evolution_tuner import EvolutionTuner

        tuner = EvolutionTuner(optimize_mode="maximize", population_size=self.first_draws())
        tuner.update_search_space(choices(candidates))
        # It takes its seed from the machine; the population is drawn again with ours.
        with seeded(candidates.seed, "evolution") as seed:
            tuner.random_state = np.random.RandomState(seed)
        tuner.population = []
        for _ in range(self.first_draws()):
            tuner._random_generate_individual()
        return tuner


@config
class RandomTuner(NniTuner):
    """NNI's random search; proposes nothing twice."""

    def tuner(self, candidates: Candidates) -> Any:
        from nni.algorithms.hpo.random_tuner import RandomTuner

        with seeded(candidates.seed, "random") as seed:
            tuner = RandomTuner(optimize_mode="maximize", seed=seed)
        tuner.update_search_space(choices(candidates))
        return tuner


@config
class GridTuner(NniTuner):
    """NNI's grid search: all genotypes in order, so for small spaces."""

    def tuner(self, candidates: Candidates) -> Any:
        from nni.algorithms.hpo.gridsearch_tuner import GridSearchTuner

        tuner = GridSearchTuner()
        tuner.update_search_space(choices(candidates))
        return tuner


@config
class RegularizedTuner(NniTuner):
    """NNI's regularised evolution (Real et al., AAAI 2019)."""

    population: int | None = None
    """Youngest trials that may have children; the first so many are drawn uniformly, so more explore longer.
    100 if left out (NNI's default, the paper's), or half of the trials where that is less."""
    sample: int | None = None
    """Members of the population that are drawn, with replacement, for the best of them to have a child; more
    are greedier. A quarter of the population if left out (NNI's default, the paper's: 25 of 100)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rules.positive(self, "population", "sample")

    def first_draws(self) -> int:
        return self.at_most_half(self.population, 100)

    def tuner(self, candidates: Candidates) -> Any:
        from nni.algorithms.hpo.regularized_evolution_tuner import RegularizedEvolutionTuner

        population = self.first_draws()
        sample = self.sample or max(1, population // 4)
        tuner = RegularizedEvolutionTuner(
            optimize_mode="maximize", population_size=population, sample_size=sample
        )
        tuner.update_search_space(choices(candidates, "layer_choice"))
        return tuner
