"""NNI's tuners as searchers, in this process.

Source: Microsoft, "Neural Network Intelligence" 3.0, nni.algorithms.hpo. Each edge is a choice among the
operators. Differs from it: every tuner is seeded, two of which cannot be by their own arguments.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from foundation import rules
from foundation.config import config
from searchers.blackbox import BlackBox, Proposer
from searchers.candidates import Candidates
from searchers.nni.proposer import TunerProposer, choices, seeded


@config
class NniTuner(BlackBox):
    """A tuner of NNI."""

    def tuner(self, candidates: Candidates) -> Any:
        """A new tuner that maximises, over the candidates' edges."""
        raise NotImplementedError(f"{type(self).__name__} has to define tuner")

    def proposer(self, candidates: Candidates) -> Proposer:
        return TunerProposer(partial(self.tuner, candidates), candidates)


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
