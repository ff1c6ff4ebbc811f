"""What every searcher that proposes promises; a new one is covered the moment that it is registered."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evaluators.cost_table import CostTable
from foundation.errors import InputError
from search_space.space import Space
from searchers import SEARCHERS
from searchers.blackbox import BlackBox, InBatches
from searchers.candidates import Candidates, Trial, best_of, restored, stored
from searchers.evolution import Evolution
from searchers.limits import Limits, parse_target
from searchers.nni.proposer import seeded
from searchers.nni.tuners import TpeTuner
from searchers.random import Random
from searchers.random_ws import RandomWS
from searchers.reinforce import Reinforce
from searchers.searches.policy import Policy
from searchers.searches.shared import SharedSearch
from tests.searchers.problems import small_problem

SPACE = Space(name="hoga", primitives=("none", "skip_connect", "SE", "sep_conv_3x3", "CBAM"), num_nodes=3)
TABLE = CostTable(plain=10, fixed=0, operators={"skip_connect": 1, "SE": 2, "sep_conv_3x3": 3, "CBAM": 4})
WORTH = {"skip_connect": 0.0, "SE": 0.2, "sep_conv_3x3": 0.5, "CBAM": 1.0}
NAMES = [name for name, kind in SEARCHERS.items() if issubclass(kind, BlackBox)]


def score(genotype):
    return sum(WORTH[name] for name in SPACE.operators(genotype)) / len(SPACE.edges)


def searcher(name):
    small: dict[str, Any] = {"population": 8, "sample": 4, "startup_trials": 8}
    kind = SEARCHERS[name]
    assert issubclass(kind, BlackBox)
    return kind(**{key: value for key, value in small.items() if hasattr(kind, key)})


def candidates(seed=0, limits=None):
    return Candidates(space=SPACE, limits=limits, seed=seed)


def history(name, num_trials, seed=0, limits=None):
    propose, trials = searcher(name).proposer(candidates(seed, limits)), []
    for _ in range(num_trials):
        genotype = propose(trials)
        trials.append(Trial(genotype=genotype, score=score(genotype)))
    return trials


@pytest.mark.parametrize("name", NAMES)
def test_a_proposal_is_a_function_of_seed_and_history(name):
    whole = history(name, 30)
    propose = searcher(name).proposer(candidates())
    for length in (0, 17, 29, 9):  # anew, on, and back
        assert propose(whole[:length]) == whole[length].genotype
    if name != "nni:grid":
        assert history(name, 30, seed=1) != whole


@pytest.mark.parametrize("name", NAMES)
def test_proposals_keep_the_limits(name):
    limits = Limits(SPACE, parse_target("macs<=1.2x"), {"macs": TABLE})
    assert all(limits.allows(trial.genotype) for trial in history(name, 30, limits=limits))


def numpy_state():
    state = np.random.get_state(legacy=False)
    assert isinstance(state, dict)
    return state["state"]["key"].tolist(), state["state"]["pos"]


@pytest.mark.parametrize("name", NAMES)
def test_proposals_at_once_see_no_score_of_each_other_and_a_search_that_goes_on_repeats_them(name):
    config = replace(searcher(name), at_once=4)
    seen = list[tuple[int, int]]()

    def begun() -> InBatches:
        propose = config.proposer(candidates())

        def look(trials):
            seen.append((len(trials), sum(trial.score is not None for trial in trials)))
            return propose(trials)

        return InBatches(look, config.num_known)

    whole, trials = begun(), list[Trial]()
    for _ in range(22):
        genotype = whole(trials)
        trials.append(Trial(genotype=genotype, score=score(genotype)))
    assert seen == [(number, config.num_known(number)) for number in range(22)]
    assert all(number - config.num_known(number) < 4 for number in range(8, 22)) or isinstance(config, Random)
    for length in (0, 7, 13, 20):  # as after a stop
        again = begun()
        assert [again(trials[:number]) for number in range(length, 22)] == [
            trial.genotype for trial in trials[length:]
        ]


def test_what_others_draw_is_left_alone():
    # By itself: beartype, which checks signatures while testing, draws too.
    before = random.getstate(), numpy_state()
    with seeded("anything", 1):
        random.random()
        np.random.random()
    assert (random.getstate(), numpy_state()) == before
    history("nni:evolution", 12)
    assert numpy_state() == before[1]


@pytest.mark.parametrize("name", NAMES)
def test_trials_that_failed_or_are_not_over_do_no_harm(name):
    propose, trials = searcher(name).proposer(candidates()), []
    for number in range(24):
        genotype = propose(trials)
        SPACE.check(genotype)
        known = score(genotype) if number % 3 else None
        trials.append(Trial(genotype=genotype, score=known, failed=number % 2 == 0 and known is None))
    assert len({trial.genotype for trial in trials}) > 4  # those not over are not proposed over and over
    best = best_of(trials)
    assert best is not None
    assert score(best) == max(trial.score for trial in trials if trial.score is not None)


@pytest.mark.parametrize("name", ["evolution", "nni:evolution", "nni:regularized", "nni:tpe"])
def test_searchers_that_learn_find_more_than_random_draws(name):
    def found(name):
        return [max(trial.score for trial in history(name, 60, seed)) for seed in range(5)]

    assert sum(found(name)) > sum(found("random"))


def test_evolution_forgets_the_oldest():
    # The best one is dead: only children of the youngest are proposed.
    dead = SPACE.genotype(["CBAM"] * 6)
    alive = SPACE.genotype(["skip_connect"] * 6)
    trials = [Trial(genotype=dead, score=1.0)] + 8 * [Trial(genotype=alive, score=0.0)]
    child = searcher("evolution").proposer(candidates())(trials)
    assert child in list(SPACE.neighbours(alive))


def test_reinforce_moves_towards_what_scored_above_the_mean():
    policy = Reinforce().proposer(candidates())
    assert isinstance(policy, Policy)
    good, bad = SPACE.genotype(["CBAM"] * 6), SPACE.genotype(["SE"] * 6)
    trials = [Trial(genotype=g, score=float(g == good)) for g in (good, bad) * 20]
    policy(trials)
    chances = policy.logits.softmax(1).detach()
    columns = [SPACE.candidates.index(name) for name in ("CBAM", "skip_connect", "SE")]
    assert (chances[:, columns[0]] > chances[:, columns[1]]).all()
    assert (chances[:, columns[1]] > chances[:, columns[2]]).all()


def test_a_tuner_that_has_proposed_everything_repeats_the_best():
    space = Space(name="hoga", primitives=("skip_connect", "SE"), num_nodes=2)
    propose, trials = TpeTuner().proposer(Candidates(space=space, limits=None, seed=0)), []
    for number in range(space.size + 2):
        trials.append(Trial(genotype=propose(trials), score=1.0 if number == 3 else 0.0))
    assert len({trial.genotype for trial in trials}) == space.size
    assert trials[-1].genotype == trials[3].genotype


def test_histories_are_stored():
    trials = [*history("random", 3), Trial(genotype=SPACE.sample(random.Random(0)), score=None, failed=True)]
    assert restored(stored(trials), SPACE) == trials


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (Random, {"trials": 0}, "trials=0 is not positive; a search judges at least one"),
        (Evolution, {"population": 0}, "population=0"),
        (Evolution, {"sample": 0}, "sample=0"),
        (Reinforce, {"baseline_momentum": 1.0}, "baseline_momentum=1.0"),
        (RandomWS, {"learning_rate": 0.0}, "learning_rate=0.0"),
    ],
)
def test_impossible_settings_are_refused(config, options, message):
    with pytest.raises(InputError, match=message):
        config(**options)


@pytest.mark.parametrize("name", ["evolution", "nni:evolution", "nni:regularized", "nni:tpe"])
def test_few_trials_are_not_all_drawn_at_random(name):
    kind: Any = SEARCHERS[name]
    few = kind(trials=20)
    assert few.first_draws() == 10
    few.check_budget(SPACE)
    with pytest.raises(InputError, match="draws its first 20 candidates at random, so 20 trials are random"):
        replace(few, **{kind.drawn_by: 20}).check_budget(SPACE)
    replace(few, **{kind.drawn_by: 19}).check_budget(SPACE)
    assert kind(trials=1000).first_draws() == {"nni:tpe": 20, "nni:evolution": 32}.get(name, 100)


def test_evolution_of_few_trials_leaves_random_search():
    proposals = {
        kind: [
            kind(trials=20).propose(candidates(), trials)
            for trials in (history("random", length) for length in range(20))
        ]
        for kind in (Evolution, Random)
    }
    same = [ours == drawn for ours, drawn in zip(proposals[Evolution], proposals[Random])]
    assert all(same[:10])
    assert not all(same[10:])


@pytest.mark.parametrize("name", ["evolution", "nni:evolution", "nni:regularized", "nni:tpe"])
@pytest.mark.parametrize("num_trials", [2, 3, 5])
def test_very_few_trials_are_proposed(name, num_trials):
    kind: Any = SEARCHERS[name]
    propose, trials = kind(trials=num_trials).proposer(candidates()), []
    for number in range(num_trials):
        trials.append(Trial(genotype=propose(trials), score=number / 10))
    assert len(trials) == num_trials


def test_more_trials_than_genotypes_are_said(caplog):
    small = replace(SPACE, primitives=("skip_connect", "SE"), num_nodes=1)
    Random(trials=2).check_budget(small)
    assert not caplog.messages
    Random(trials=3).check_budget(small)
    assert caplog.messages == ["3 trials are more than the 2 genotypes of the space: some are tried again"]


def test_trials_of_a_supernet_are_judged_with_its_weights():
    config = RandomWS(trials=5, epochs=1, batch_size=10)
    search = config.start(small_problem())
    assert isinstance(search, SharedSearch)
    while search.step < search.total_steps:
        search.advance()
    assert len(search.history) == 5
    assert search.total_steps == 9  # 3 of training; 5 of judging, and one that does nothing
    again = [search.judge(trial.genotype) for trial in reversed(search.history)]
    assert again[::-1] == [trial.score for trial in search.history]
