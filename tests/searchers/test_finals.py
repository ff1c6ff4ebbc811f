"""Finals: the likeliest are trained at the end, whatever their shares, and go on exactly."""

from __future__ import annotations

import itertools
import logging
import random
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from foundation.errors import InputError
from search_space.space import NONE, Space
from searchers.candidates import Candidates, best_of
from searchers.darts import Darts
from searchers.evolution import Evolution
from searchers.finals import Finals
from searchers.guards import Guards
from searchers.searches.finals import FinalSearch, finalists_of
from searchers.searches.likeliest import likeliest
from searchers.searches.neighbours import neighbours_of
from searchers.searches.perturbation import losses_without, worths
from tests.searchers.places import places_problem
from tests.searchers.problems import small_problem

FINALS = Finals(count=3, epochs=1)
SHORT: dict[str, Any] = {"epochs": 1, "batch_size": 10}


def ended(search: Any) -> Any:
    while search.step < search.total_steps:
        search.advance()
        if search.step % search.steps_per_epoch == 0:
            search.report()
    return search


@pytest.mark.parametrize(
    "searcher",
    [Darts(**SHORT, finals=FINALS), Evolution(**SHORT, trials=4, population=2, finals=FINALS)],
    ids=lambda searcher: searcher.name,
)
def test_the_best_finalist_is_the_answer_and_nothing_is_one_of_them(searcher: Any) -> None:
    search = ended(searcher.start(places_problem()))
    assert isinstance(search, FinalSearch)
    trained = [trial.genotype for trial in search.history]
    assert trained == search.finalists
    assert len(set(trained)) == len(trained) == 3
    assert set(trained[0].attentions.values()) == {NONE}
    best = max(search.history, key=lambda trial: trial.score or 0.0)
    assert search.genotype() == best.genotype
    assert search.step == search.search.total_steps + 3 * search.steps_each


def test_cells_have_finals_too() -> None:
    search = ended(Darts(**SHORT, finals=FINALS).start(small_problem()))
    assert search.finalists[0] == search.search.genotype()
    assert len(search.history) == 3


def test_they_say_why_a_guard_ended_the_search_before_them(caplog: pytest.LogCaptureFixture) -> None:
    space = Space(name="hoga", primitives=("none", "skip_connect", "SE"), num_nodes=2)
    settings = SHORT | {"epochs": 3, "guards": Guards(most_skips=1), "finals": FINALS}
    search: Any = Darts(**settings).start(small_problem(space=space, num_images=40))
    with torch.no_grad():
        search.search.supernet.alphas[:, 1] += 9.0
    with caplog.at_level(logging.INFO):
        ended(search)
    assert "stopped after epoch 1: skip_connect leads on 3 edges, more than 1" in caplog.text
    assert "; finals: 3 candidates, " in caplog.text


def test_finalists_learn_by_the_optimizer_of_the_search() -> None:
    search: Any = Darts(**SHORT, optimizer="adam", finals=FINALS).start(places_problem())
    first = search.problem.space.genotype(["se", *[NONE] * (len(search.problem.space.rows) - 1)])
    theirs, ours = search.training_of(first).optimizer, search.search.updates.weight_optimizer
    assert isinstance(theirs, torch.optim.Adam)
    assert isinstance(ours, torch.optim.Adam)
    assert theirs.param_groups[0]["betas"] == ours.param_groups[0]["betas"]


def test_it_goes_on_from_every_step() -> None:
    whole = ended(Darts(**SHORT, finals=FINALS).start(places_problem()))
    search = Darts(**SHORT, finals=FINALS).start(places_problem())
    while search.step < search.total_steps:
        search.advance()
        again = Darts(**SHORT, finals=FINALS).start(places_problem())
        again.load_state_dict(search.state_dict())
        assert again.step == search.step
        search = again
    assert search.genotype() == whole.genotype()
    assert [trial.score for trial in search.history] == [trial.score for trial in whole.history]


def test_neighbours_of_the_best_are_trained_next() -> None:
    finals = Finals(count=2, neighbours=4, epochs=1)
    whole = ended(Darts(**SHORT, finals=finals).start(places_problem()))
    assert len(whole.history) == 6
    assert whole.step == whole.search.total_steps + 6 * whole.steps_each
    space = whole.problem.space
    for number in range(2, 6):
        best, trial = best_of(whole.history[:number]), whole.history[number]
        differing = [row for row in space.rows if best.attentions[row] != trial.genotype.attentions[row]]
        assert 1 <= len(differing) <= 2
        assert trial.genotype not in [earlier.genotype for earlier in whole.history[:number]]
    search = Darts(**SHORT, finals=finals).start(places_problem())
    while search.step < search.total_steps:
        search.advance()
        again = Darts(**SHORT, finals=finals).start(places_problem())
        again.load_state_dict(search.state_dict())
        assert (again.step, again.total_steps) == (search.step, search.total_steps)
        search = again
    assert search.state_dict()["finals"]["history"] == whole.state_dict()["finals"]["history"]


def test_finals_end_when_there_is_no_neighbour_left() -> None:
    search = ended(Darts(**SHORT, finals=Finals(count=1, neighbours=10_000, epochs=1)).start(small_problem()))
    known = [trial.genotype for trial in search.history]
    candidates = Candidates(space=search.problem.space, limits=None, seed=0)
    assert set(neighbours_of(search.genotype(), candidates, random.Random(0))) <= set(known)
    assert len(known) < 1000


def test_neighbours_leave_out_then_change_then_move_then_add() -> None:
    space = places_problem().space
    rows = list(space.rows)
    limits: Any = SimpleNamespace(allows=lambda other: other.attentions[rows[2]] != "se")
    start = space.genotype(["se", NONE, NONE])
    found = neighbours_of(start, Candidates(space=space, limits=limits, seed=0), random.Random(1))
    others = [name for name in space.primitives if name != NONE]
    standing = [{row: name for row, name in other.attentions.items() if name != NONE} for other in found]
    changed = [{rows[0]: name} for name in others if name != "se"]
    moved = [{rows[1]: "se"}]
    added = [
        {rows[0]: "se", row: name} for row in rows[1:] for name in others if (row, name) != (rows[2], "se")
    ]
    key = lambda parts: sorted(map(str, parts))  # noqa: E731
    assert standing[0] == {}
    assert key(standing[1 : len(changed) + 1]) == key(changed)
    assert standing[len(changed) + 1] == moved[0]
    assert key(standing[len(changed) + 2 :]) == key(added)
    assert start not in found


def test_what_is_missed_most_is_changed_and_moved_first() -> None:
    space = places_problem().space
    rows = list(space.rows)
    first, second = [name for name in space.primitives if name != NONE][:2]
    start = space.genotype([first, second, NONE])
    without = {rows[0]: space.genotype([NONE, second, NONE]), rows[1]: space.genotype([first, NONE, NONE])}
    candidates = Candidates(space=space, limits=None, seed=0)
    for missed, kept in ((rows[0], rows[1]), (rows[1], rows[0])):
        known = {without[missed]: 0.1, without[kept]: 0.4}
        found = neighbours_of(start, candidates, random.Random(2), known)
        assert set(found[:2]) == set(without.values())
        differing = [
            [row for row in rows if other.attentions[row] != start.attentions[row]] for other in found
        ]
        of_missed = [
            number for number, changed in enumerate(differing) if changed in ([missed], [missed, rows[2]])
        ]
        of_kept = [number for number, changed in enumerate(differing) if changed in ([kept], [kept, rows[2]])]
        assert max(of_missed[1:]) < min(of_kept[1:])


def test_what_costs_too_much_takes_the_place_of_what_is_missed_least() -> None:
    space = places_problem().space
    rows = list(space.rows)
    first, second = [name for name in space.primitives if name != NONE][:2]
    limits: Any = SimpleNamespace(
        allows=lambda other: other.attentions[rows[2]] == NONE or [*other.attentions.values()].count(NONE) > 1
    )
    candidates = Candidates(space=space, limits=limits, seed=0)
    start = space.genotype([first, second, NONE])
    known = {space.genotype([NONE, second, NONE]): 0.1, space.genotype([first, NONE, NONE]): 0.4}
    found = neighbours_of(start, candidates, random.Random(3), known)
    assert space.genotype([NONE, NONE, first]) in found
    assert space.genotype([NONE, NONE, second]) in found
    assert len(set(found)) == len(found)
    assert all(limits.allows(other) for other in found)


def test_neighbours_need_a_finalist() -> None:
    with pytest.raises(InputError, match=r"finals\.count"):
        Finals(neighbours=3)


def test_the_order_is_that_of_sums_of_values() -> None:
    problem: Any = places_problem()
    space = problem.space
    values = torch.randn(len(space.rows), len(space.primitives), generator=torch.Generator().manual_seed(3))
    best = space.strongest(values.tolist())
    given = list(itertools.islice(likeliest(problem, best, values.tolist()), 6))

    def value(placement: Any) -> float:
        names = space.operators(placement)
        return sum(values[row, space.primitives.index(name)].item() for row, name in enumerate(names))

    everything = (
        space.genotype(names) for names in itertools.product(space.primitives, repeat=len(space.rows))
    )
    wanted = sorted(map(value, everything), reverse=True)[:6]
    assert [value(placement) for placement in given] == pytest.approx(wanted)


def test_worth_is_what_the_loss_misses_whatever_the_share() -> None:
    """A module of a hundredth of the share, whose output is a hundred times as large, is worth as much."""
    search: Any = Darts(**SHORT).start(places_problem())
    for _ in range(search.total_steps):
        search.advance()
    column = search.problem.space.primitives.index(NONE)
    (nothing,) = losses_without(search, 0, [column], 0)
    other = next(index for index in range(len(search.problem.space.primitives)) if index != column)
    (without,) = losses_without(search, 0, [other], 0)
    mixing = search.mixture.expected().detach().clone()
    mixing[0, column] += mixing[0, other]
    mixing[0, other] = 0
    losses = [
        search.updates.loss(search.alpha_batches.batch(0, index), mixing)[0].item()
        for index in range(search.steps_per_epoch)
    ]
    assert without == pytest.approx(sum(losses) / len(losses))
    assert worths(search, 0, [column, other], 0) == pytest.approx([nothing, without])


def test_candidates_that_are_trained_anyway_have_no_finals() -> None:
    with pytest.raises(InputError, match="leave out finals"):
        Evolution(shared=False, finals=FINALS)
    with pytest.raises(InputError, match=r"finals\.count"):
        Finals(count=-1)


def test_no_finalist_only_adds_to_one_that_ranks_higher() -> None:
    search: Any = Darts(**SHORT, finals=Finals(count=50, epochs=1)).start(places_problem())
    found = finalists_of(search.search, search.problem, 50)
    taken = [{pair for pair in each.attentions.items() if pair[1] != NONE} for each in found]
    assert 3 < len(found) < search.problem.space.size
    assert found[0].attentions.keys() == search.problem.space.genotype([NONE] * 3).attentions.keys()
    for number, later in enumerate(taken):
        assert not any(earlier and earlier < later for earlier in taken[:number])


def test_all_epochs_are_those_of_the_search_and_its_finals() -> None:
    assert Darts(epochs=3, finals=Finals(count=6, neighbours=4, epochs=2)).all_epochs == 23
    assert Darts(epochs=3).all_epochs == 3
