"""A candidate whose training diverges has failed; the search goes on without it, stopped or not."""

from typing import Any

import pytest
import torch

from foundation.errors import InputError
from searchers import SEARCHERS
from searchers.random import Random
from searchers.searches.problem import Problem
from tests.searchers.problems import small_problem
from tests.searchers.test_searchers import advance

BROKEN = 1
"""Number of the candidate that diverges, from 0."""


@pytest.fixture
def breaks(monkeypatch):
    """Gives networks of some candidates a weight that is no number."""

    def choose(trials):
        found = Problem.found

        def broken(self, genotype, *purpose):
            network = found(self, genotype, *purpose)
            if purpose[-1] in trials:
                with torch.no_grad():
                    next(network.parameters()).fill_(torch.nan)
            return network

        monkeypatch.setattr(Problem, "found", broken)

    return choose


@pytest.mark.parametrize("name", ["random", "evolution", "reinforce", "nni:tpe"])
def test_the_search_goes_on(name, breaks, caplog):
    breaks([BROKEN])
    kind: Any = SEARCHERS[name]
    search = kind(trials=4, epochs=2, batch_size=10, shared=False).start(small_problem())
    reports = []
    while search.step < search.total_steps:
        search.advance()
        search.check()
        if search.step % search.steps_per_epoch == 0:
            reports.append(search.report())
    assert [trial.failed for trial in search.history] == [False, True, False, False]
    assert [trial.score is None for trial in search.history] == [False, True, False, False]
    assert [report.get("failed_trials") for report in reports] == [None, 1.0, 1.0, 1.0]
    assert [report["trial_accuracy"] for report in reports] == [trial.score for trial in search.history]
    assert "train_loss" not in reports[BROKEN]
    best = max(trial.score for trial in search.history if trial.score is not None)
    assert best == reports[-1]["best_accuracy"]
    assert search.genotype() in [trial.genotype for trial in search.history if trial.score == best]
    (said,) = caplog.messages
    assert said.startswith("trial 2 failed: the loss is not finite at step 0; h1 = ")


def test_stopped_at_any_step_it_ends_the_same(breaks, tmp_path):
    breaks([BROKEN])
    config, problem = Random(trials=3, epochs=2, batch_size=15), small_problem(num_images=30)
    whole: Any = config.start(problem)
    states = []
    while whole.step < whole.total_steps:
        advance(whole, 1)
        torch.save(whole.state_dict(), tmp_path / f"{whole.step}.pt")
        states.append(whole.step)
    for stop in states[1:-1]:
        resumed: Any = config.start(problem)
        resumed.load_state_dict(torch.load(tmp_path / f"{stop}.pt", weights_only=True))
        advance(resumed, resumed.total_steps - resumed.step)
        assert resumed.genotype() == whole.genotype()
        assert resumed.history == whole.history
        assert resumed.report() == whole.report()


def test_where_all_diverge_there_is_no_answer(breaks):
    breaks([0, 1])
    search = Random(trials=2, epochs=1, batch_size=10).start(small_problem())
    advance(search, search.steps_per_epoch)
    assert search.report() == {"trial_accuracy": None, "best_accuracy": None, "failed_trials": 1.0}
    with pytest.raises(InputError, match="the training of every candidate diverged, 2 of them"):
        advance(search, search.steps_per_epoch)
