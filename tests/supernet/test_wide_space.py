"""The wide space and a user's own: names with arguments are primitives like all others."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from autola.configs import SearchConfig
from autola.presets import DIGITS
from autola.run_search import run_search
from foundation.config import parse_json, to_json
from foundation.errors import InputError
from search_space.genotype import Genotype
from search_space.grammar import Term, genotype_at, parse_attention
from search_space.space import HOGA, SPACES
from searchers.darts import Darts
from searchers.random import Random
from supernet.attach import attach
from supernet.backbones.cifar_resnet import CifarResNet
from supernet.supernet import Supernet, copy_weights, one_hot
from tests.alone import alone
from tests.equality import assert_equal
from tests.modules import image, scrambled

WIDE = SPACES["hoga_wide"]


def backbone() -> nn.Module:
    return CifarResNet((1,), num_classes=5, in_channels=3, width=16)


def genotype_with(names: tuple[str, ...]) -> Genotype:
    pool = iter([*names] * 10)
    return Genotype.of([[(next(pool), j) for j in range(i)] for i in range(1, 5)], space="hoga_wide")


def test_one_hot_equals_the_network_found() -> None:
    genotype = genotype_with(WIDE.candidates[len(HOGA.candidates) :])
    supernet = scrambled(Supernet(backbone(), WIDE, "plain"))
    found = attach(backbone(), (Term(name="hoga", genotype=genotype),)).double()
    copy_weights(supernet, found, genotype)
    x = image(3, 3, 7, 5)
    assert_equal(supernet(x, one_hot(WIDE, genotype).double()), found(x), through=supernet)


def test_both_forms_learn_in_the_wide_space() -> None:
    for form in ("plain", "grouped"):
        supernet = Supernet(backbone(), WIDE, form).double()
        supernet(image(2, 3, 5, 7)).square().sum().backward()
        assert supernet.alphas.grad is not None
        assert (supernet.alphas.grad.abs().sum(1) > 0).all()


def config(**options: object) -> SearchConfig:
    searcher = Darts(epochs=1, batch_size=360)
    return SearchConfig(data=DIGITS, backbone="cifar_resnet8", threads=1, **{"searcher": searcher, **options})  # type: ignore[arg-type]


def test_a_search_of_the_wide_space_runs_to_its_end(tmp_path: Path) -> None:
    found = run_search(config(space="hoga_wide"), tmp_path / "run")
    assert isinstance(found.genotype, Genotype)
    assert found.genotype.space == "hoga_wide"
    (term,) = parse_attention(f"hoga:{tmp_path / 'run'}")
    assert term.genotype == found.genotype


def test_a_search_of_ones_own_list_runs_to_its_end(tmp_path: Path) -> None:
    mine = config(primitives=("none", "ga:0110", "eca"), searcher=Darts(epochs=1, batch_size=360))
    assert parse_json(SearchConfig, to_json(mine), "config.json") == mine
    found = run_search(mine, tmp_path / "run")
    assert isinstance(found.genotype, Genotype)
    assert found.genotype.space == "own"
    assert {edge.operator for _, edge in found.genotype.edges()} <= {"ga:0110", "eca"}
    assert genotype_at(tmp_path / "run") == found.genotype
    attach(backbone(), f"hoga:{tmp_path / 'run'}")


@pytest.mark.parametrize(
    ("primitives", "expected"),
    [
        (("SE", "cbma"), "unknown operator 'cbma'; did you mean cbam"),
        (("SE", "se:8"), "`se` takes no argument"),
        (("SE", "SE"), "lists a primitive twice"),
        (("none",), "has no primitive besides 'none'"),
        (("SE", "ga:01"), "ga:01 has no such terms"),
    ],
)
def test_impossible_lists_are_refused(primitives: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        run_search(config(primitives=primitives, searcher=Random()), tmp_path / "run")
    assert expected in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_operators_that_nobody_knows_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(Genotype.of([[("sep_conv_9x9", 0)]], space="own").to_json())
    with pytest.raises(InputError, match="edge x1 -> h1: unknown operator 'sep_conv_9x9'"):
        genotype_at(path)


def test_timm_is_imported_by_those_who_need_it() -> None:
    code = """
import sys
from autola.commands.list import everything
from evaluators.cost import measure
everything()
measure("cifar_resnet8", "se+simam+ga:0010", latency=False, activation=False)
assert not any(name.partition(".")[0] == "timm" for name in sys.modules)
measure("cifar_resnet8", "eca", latency=False, activation=False)
assert "timm" in sys.modules
"""
    result = alone(code)
    assert result.returncode == 0, result.stderr
