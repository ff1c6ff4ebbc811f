"""Random search judges every candidate on the second half and keeps the best."""

from searchers.candidates import Candidates, Trial, scores
from searchers.random import Random
from searchers.searches.trained import TrainedSearch
from tests.searchers.problems import small_problem


def test_the_best_trial_wins():
    search = Random(trials=3, epochs=1, batch_size=10).start(small_problem())
    assert isinstance(search, TrainedSearch)
    while search.step < search.total_steps:
        search.advance()
    found = scores(search.history)
    assert len(found) == 3
    assert search.genotype() == search.history[found.index(max(found))].genotype
    search.history = [Trial(genotype=t.genotype, score=s) for t, s in zip(search.history, (0.1, 0.9, 0.9))]
    assert search.genotype() == search.history[1].genotype


def test_candidates_are_drawn_from_the_space_and_differ():
    space = small_problem().space
    propose = Random().proposer(Candidates(space=space, limits=None, seed=0))
    history = []
    for _ in range(8):
        history.append(Trial(genotype=propose(history), score=None))
    assert len({space.check(trial.genotype) for trial in history}) == 8
