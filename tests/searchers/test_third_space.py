"""A space of a user's own, which is one file: every searcher runs on it as on the others."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import autola
from evaluators.cost import params
from evaluators.row_costs import row_table
from foundation.errors import InputError
from search_space.rows import Choices
from searchers import SEARCHERS
from searchers.limits import Limits, parse_target
from searchers.searches.problem import mixed_network
from supernet.supernet import one_hot
from tests.equality import assert_equal
from tests.searchers.places import backbone
from tests.searchers.problems import small_problem
from tests.searchers.test_own_loop import batches, cross_entropy
from tests.searchers.test_searchers import advance, assert_equal_states, short
from tests.test_documentation import EXTENDING, blocks

MY_SPACE: Any = ModuleType("my_space")
sys.modules["my_space"] = MY_SPACE
exec(next(block.text for block in blocks(EXTENDING) if block.comment == "file: my_space.py"), vars(MY_SPACE))
SPACE = MY_SPACE.Norms.of(backbone())


@pytest.fixture(params=[name for name in SEARCHERS if name != "pc_darts"])
def config(request: pytest.FixtureRequest) -> Any:
    return short(request.param)


def test_every_searcher_ends_with_an_answer_and_goes_on_where_it_stopped(config: Any, tmp_path: Path) -> None:
    problem = small_problem(space=SPACE, backbone=backbone, num_images=40)
    table = row_table("params", SPACE, backbone(), (3, 8, 8))
    limits = Limits(SPACE, parse_target("params<=1x"), {"params": table})
    problem = replace(problem, limits=limits, penalty=limits.penalty())
    whole, resumed = config.start(problem), config.start(problem)
    torch.save(advance(resumed, whole.steps_per_epoch + 1).state_dict(), tmp_path / "state.pt")
    resumed = config.start(problem)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    advance(resumed, resumed.total_steps - resumed.step)
    advance(whole, whole.total_steps)
    found = SPACE.check(whole.genotype())
    assert limits.allows(found)
    assert found == SPACE.read(found.to_json())
    assert_equal_states(resumed.state_dict(), whole.state_dict())


@pytest.mark.parametrize("share", [0.0, 0.15, 1.0])
def test_a_one_hot_supernet_is_the_derived_network(share: float) -> None:
    torch.manual_seed(0)
    plain = backbone().double().eval()
    supernet = mixed_network(SPACE, backbone().double())
    supernet.network.load_state_dict(
        {_mixed_name(name): value for name, value in plain.state_dict().items()}, strict=False
    )
    supernet.begin_step(share)
    supernet.eval()
    answer = SPACE.sample(random.Random(1))
    assert len({name for _, name in answer.chosen}) > 1
    x = torch.randn(2, 3, 8, 6, dtype=torch.float64)
    weights = one_hot(SPACE, answer).double()
    mixed, found = supernet(x, weights=weights), supernet.derived(answer).eval()
    assert_equal(mixed, found(x), through=found)
    assert_equal(supernet(x, weights=weights, chosen=weights.argmax(1).tolist()), mixed, through=found)
    assert torch.equal(mixed, plain(x)) == (share == 0.0)
    if share == 1.0:
        again = SPACE.found(backbone().double(), answer).eval()
        again.load_state_dict(found.state_dict())
        assert torch.equal(again(x), found(x))


def _mixed_name(name: str) -> str:
    """Name of a plain network's value in the network that is searched."""
    owner, _, last = name.rpartition(".")
    return f"{owner}.modules_by_column.0.{last}" if owner in SPACE.rows else name


def test_costs_in_rows_add_up() -> None:
    class Bare(MY_SPACE.Norms):
        def build(self, module: Any, name: str) -> torch.nn.Module:
            return torch.nn.GroupNorm(1, module.num_features, affine=name == "group")

    space = Bare(rows=SPACE.rows)
    table = row_table("params", space, backbone(), (3, 8, 8))
    for seed in range(3):
        answer = space.sample(random.Random(seed))
        assert table.of(answer) == params(space.found(backbone(), answer))
    with pytest.raises(InputError, match="latency of the space 'norms' is not measured"):
        row_table("latency", space, backbone(), (3, 8, 8))


def test_it_is_searched_in_a_loop_of_ones_own() -> None:
    net = backbone()
    search = autola.searching(net, steps=8, space=SPACE)
    (images, _), *_ = batches()
    assert torch.equal(search.model(images), backbone_like(net)(images))
    for train, held in zip(batches(8), batches(8, seed=1)):
        search.step(cross_entropy, train, held)
    found = search.found()
    assert isinstance(found, Choices)
    derived = search.derive()
    for row, name in found.chosen:
        kind = {
            "batch": torch.nn.BatchNorm2d,
            "group": torch.nn.GroupNorm,
            "instance": torch.nn.InstanceNorm2d,
        }
        assert type(derived.get_submodule(row)) is kind[name]
    with pytest.raises(InputError, match="says itself where it is"):
        autola.searching(backbone(), steps=8, space=SPACE, sites=["bn1"])
    with pytest.raises(InputError, match="no answer of norms has params"):
        autola.searching(backbone(), steps=8, space=SPACE, target="params<=0.5x", input_shape=(3, 8, 8))


def backbone_like(searched: torch.nn.Module) -> torch.nn.Module:
    """The plain network with the weights of one that is searched."""
    plain, weights = backbone(), searched.state_dict()
    plain.load_state_dict({name: weights[_mixed_name(name)] for name in plain.state_dict()})
    return plain
