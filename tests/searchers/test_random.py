"""Random search judges every candidate on the second half and keeps the best."""

from searchers.random import Random
from tests.searchers.problems import small_problem


def test_the_best_trial_wins():
    search = Random(trials=3, epochs=1, batch_size=10).start(small_problem())
    while search.step < search.total_steps:
        search.advance()
    assert len(search.scores) == 3
    assert search.genotype() == search.proposal(search.scores.index(max(search.scores)))
    search.scores = [0.1, 0.9, 0.9]
    assert search.genotype() == search.proposal(1)


def test_candidates_are_drawn_from_the_space_and_differ():
    problem = small_problem()
    search = Random(trials=3, epochs=1, batch_size=10).start(problem)
    drawn = {problem.space.check(search.proposal(trial)) for trial in range(8)}
    assert len(drawn) == 8
