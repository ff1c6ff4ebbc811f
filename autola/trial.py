"""One trial of an experiment, in a process of its own, in a copy of what the run has for all trials."""

from __future__ import annotations

import sys
from pathlib import Path

from autola.cli import import_modules
from autola.configs import SearchConfig
from autola.data_record import check_data
from autola.problem import search_problem
from autola.runtime import make_fabric, own_state
from foundation.config import parse_json, read_text
from outputs.records import CONFIG
from outputs.run_directory import RunDirectory
from searchers.blackbox import BlackBox
from searchers.nni.experiment import report, trial_parameters
from searchers.searches.trained import train_candidate


def main(modules: list[str]) -> None:
    """Trains the genotype that NNI gives, and reports its score to NNI.

    Args:
        modules: Names of the user's modules, which are imported first.
    """
    import_modules(modules)
    config = parse_json(SearchConfig, read_text(Path(CONFIG), "config"), CONFIG)
    assert isinstance(config.searcher, BlackBox)
    with own_state(config):
        problem, data = search_problem(config, make_fabric(config))
        check_data(RunDirectory(Path()), data)
        trial, genotype = trial_parameters(problem.space)
        sys.stdout.write(f"trial {trial}: {genotype}\n")
        score = train_candidate(
            problem,
            config.searcher.recipe(),
            genotype,
            trial,
            lambda figures: report(figures["train_accuracy"], final=False),
        )
        report(score, final=True)


if __name__ == "__main__":
    main(sys.argv[1:])
