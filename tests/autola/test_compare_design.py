"""What a comparison is made of: rows, seeds, random cells, controls of equal cost; nothing is trained."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from autola.comparing.config import CONTROLS, Addition, CompareConfig
from autola.comparing.items import drawn_for, items_of, planned_rows
from autola.comparing.matching import matched_controls
from autola.comparing.plan import plan_of
from autola.comparing.presets import COMPARE_PRESETS
from autola.comparing.rows import Row, rows_of, stretched, uniform
from autola.comparing.settings import followed
from autola.comparing.work import Work
from autola.presets import RETRAIN_PRESETS
from autola.runtime import make_fabric
from evaluators.cost import macs
from evaluators.recipe import TrainConfig
from foundation.config import parse_json, to_json
from foundation.errors import InputError
from search_space.grammar import parse_attention
from search_space.space import SPACES


@pytest.mark.parametrize("name", COMPARE_PRESETS)
def test_presets_are_records(name):
    preset = COMPARE_PRESETS[name]
    assert parse_json(CompareConfig, to_json(preset), name) == preset
    assert preset.smoke().seeds == (0,)


def test_trainings_go_round_by_round_and_cells_have_seeds_of_their_own():
    digits = COMPARE_PRESETS["digits"]
    assert digits.search is not None
    config = replace(digits, search=replace(digits.search, target=()), attentions=(parse_attention("se"),))
    items = items_of(config, planned_rows(config, None, {}))
    names = [item.name for item in items]
    assert len(set(names)) == len(names) == 3 * 3 + 6 * 2 + 8 * 5
    assert names[:3] == ["found0-seed0", "se-seed0", "random0-seed0"]
    assert [name for name in names if name.startswith("plain")] == [f"plain-seed{n}" for n in range(5)]
    turns = [name for name in names if name.startswith(("plain", "se-seed"))]
    assert turns[:4] == ["se-seed0", "plain-seed0", "se-seed1", "plain-seed1"]
    found = [item.seed for item in items if item.row.name == "found"]
    assert len(set(found)) == 9, "cells share no training seed"
    assert len(plan_of(config, planned_rows(config, None, {}), 0, 3).contrasts) == 9


def test_blocks_hold_all_rows_each():
    digits = COMPARE_PRESETS["digits"]
    assert digits.search is not None
    search = replace(digits.search, target=())
    backbones = ("cifar_resnet8", "cifar_resnet20")
    config = replace(digits, search=search, backbones=backbones, recipes=("own", "cifar10"))
    planned = planned_rows(config, None, {})
    assert [block.name for block, _ in planned] == [f"{b}-{r}" for b in backbones for r in config.recipes]
    contrasts = plan_of(config, planned, 0, 3).contrasts
    assert [each.primary for each in contrasts] == [True] + [False] * (len(contrasts) - 1)
    assert len({(each.block, each.second) for each in contrasts}) == len(contrasts) == 4 * 9


def test_random_cells_differ_and_more_of_them_begin_alike():
    digits = COMPARE_PRESETS["digits"]
    assert digits.search is not None
    config = replace(digits, search=replace(digits.search, target=(), num_nodes=1))
    few, more = (drawn_for(replace(config, random_cells=number), {}) for number in (3, 6))
    assert more[:3] == few
    assert len(set(map(str, more))) == 6
    with pytest.raises(InputError, match="the space has 8 cells that keep the limit, not 9"):
        drawn_for(replace(config, random_cells=9), {})


def test_a_wrapper_holds_one_operator_everywhere():
    for space in (SPACES["hoga"], replace(SPACES["hoga_small"], primitives=("skip_connect",))):
        genotype = uniform("SE", space)
        assert {edge.operator for _, edge in genotype.edges()} == {"SE"}
        assert len(genotype.nodes) == space.num_nodes


def test_plain_networks_are_made_as_expensive_as_the_cells(caplog):
    digits = COMPARE_PRESETS["digits"]
    config = replace(digits, search=None, attentions=(parse_attention("hoga"),), beside=CONTROLS[1:5])
    work = Work(config, make_fabric(config))
    ((block, rows),) = planned_rows(config, None, {})
    caplog.set_level("INFO")
    found = matched_controls(config, replace(block, name="small"), rows, work)
    for control in ("wider in small: width=", "deeper in small: depth=", "longer in small: epochs="):
        assert control in caplog.text
    data = work.setting(config.train).describe()

    def cost(row: Row) -> int:
        (cell,) = row.cells
        assert cell is not None
        with torch.device("meta"):
            return macs(row.task.network(data, cell), data["input_shape"])

    named = {row.name: row for row in rows_of(config, block, found=(), drawn=(), matched=found)}
    assert list(named) == ["hoga", "plain", "wider", "deeper", "longer"]
    hoga, plain = cost(named["hoga"]), cost(named["plain"])
    assert abs(cost(named["wider"]) / hoga - 1) < abs(plain / hoga - 1) < abs(2 * plain / hoga - 1)
    assert cost(named["deeper"]) > plain
    assert named["longer"].train.epochs == round(config.train.epochs * hoga / plain) > config.train.epochs


def test_a_recipe_is_stretched_with_its_milestones():
    train = TrainConfig(epochs=10, schedule="step", milestones=(4, 8))
    assert stretched(train, 15).milestones == (6, 12)
    assert stretched(train, 15).epochs == 15


def test_an_addition_that_is_there_changes_nothing():
    digits = COMPARE_PRESETS["digits"]
    assert Addition(seeds=(0, 2), control_seeds=(1,)).to(digits) == digits
    assert Addition(seeds=(7,)).to(digits).seeds == (0, 1, 2, 7)


def test_the_search_follows_the_task_where_nothing_else_is_said():
    usual = COMPARE_PRESETS["cifar10"]
    task = replace(usual.task, backbone="cifar_resnet8", data=replace(usual.task.data, root="images"))  # pyright: ignore
    search = followed(replace(usual, task=task), usual).search
    assert search is not None
    assert (search.backbone, search.data.root) == ("cifar_resnet8", "images")
    assert usual.search is not None
    own = replace(usual.search, backbone="cifar_resnet34")
    search = followed(replace(usual, task=task, search=own), usual).search
    assert search is not None
    assert (search.backbone, search.data.root) == ("cifar_resnet34", "images")
    other = RETRAIN_PRESETS["imagenet"].task
    assert followed(replace(usual, task=other), usual).search == usual.search
