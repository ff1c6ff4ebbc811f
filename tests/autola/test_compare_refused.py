"""What a comparison refuses, as it would be passed over in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autola.commands.compare import read_settings, whole
from searchers.darts import Darts
from tests.autola.test_compare import FEW

MODULES = f"compare se {FEW} --no-measure --search-nothing --control-seeds 0"


@pytest.fixture
def begun(call, own_folder) -> Path:
    """A comparison of modules that has trained nothing yet."""
    assert call(f"{MODULES} --beside plain cbam --minutes 1e-9 --out run").code == 0
    return own_folder / "run"


def test_additions_that_add_nothing_are_refused_and_not_recorded(begun, refused):
    lines = {
        "--random-cells 3": "random_cells: this comparison has no random cells",
        "--random-seeds 7": "random_seeds: this comparison has no random cells",
        "--seeds 7": "seeds: this comparison has no cells that were found",
        "--seeds 7 --control-seeds 1": "seeds: this comparison has no cells that were found",
        "--search-seeds 7": "searches nothing",
    }
    for words, line in lines.items():
        assert line in refused(f"compare --resume {begun} {words}")
    for name, row in {"se": "se", "cbam": "cbam", "none": "plain"}.items():
        said = refused(f"compare {name} --resume {begun} --control-seeds 1")
        assert f"{name} is there already, as the row {row}; leave it out" in said
    assert not (begun / "added.json").exists()


def test_seeds_of_controls_are_refused_where_there_are_cells_alone():
    from autola.comparing.adding import check_applies
    from autola.comparing.config import Addition
    from autola.comparing.presets import COMPARE_PRESETS
    from autola.comparing.rows import blocks_of, rows_of
    from foundation.errors import InputError
    from search_space.grammar import parse_attention

    digits = COMPARE_PRESETS["digits"]
    (block,) = blocks_of(digits)
    genotype = parse_attention("hoga")[0].genotype
    rows = list(rows_of(digits, block, found=[genotype], drawn=[], matched={}))[:1]
    with pytest.raises(InputError, match="control_seeds: this comparison has no module and no control"):
        check_applies(Addition(control_seeds=(7,)), rows, rows)
    check_applies(Addition(seeds=(7,)), rows, rows)


@pytest.mark.parametrize(
    "option",
    [
        *("--search-seeds 0 1", "--search_seeds=0", "--seeds 0", "--random-cells 3", "--random-seeds 0"),
        *("--searcher gdas", "--search.target macs<=1.2x", "--search.searcher.epochs=3"),
    ],
)
def test_options_of_cells_are_refused_where_nothing_is_searched(refused, option):
    flag = option.replace("=", " ").split()[0]
    assert f"{flag} says how cells are searched" in refused(f"{MODULES} --beside plain {option}")


def test_random_cells_are_refused_where_there_are_none(refused):
    assert "--beside random draws cells" in refused(f"{MODULES} --beside random plain")


def test_one_training_of_a_comparison_is_told_what_it_is(begun, refused):
    part = begun / "se-seed0"
    part.mkdir()
    single = json.loads((begun / "config.json").read_text())
    kept = ("task", "train", "attentions")
    (part / "config.json").write_text(json.dumps({name: single[name] for name in kept} | {"seeds": [0]}))
    said = refused(f"compare --runs {part}")
    assert f"se-seed0 is one training of the comparison {begun}" in said
    assert "retrain --resume" not in said


@pytest.mark.parametrize("words", ["--runs", "--across --out told", "--found --threads 1", "se --backbones"])
def test_a_list_with_nothing_in_it_is_refused(refused, words):
    name = next(word for word in words.split() if word.startswith("--"))
    assert f"{name} has nothing behind it" in refused(f"compare {words}")


@pytest.mark.parametrize("damage", ["{}", "", '{"run": 3}'])
def test_a_damaged_comparison_is_made_anew_once_it_is_deleted(begun, refused, call, damage):
    (begun / "comparison.json").write_text(damage)
    line = refused(f"report {begun}")
    assert f"delete it, and autola compare --resume {begun} makes it anew" in line
    assert refused(f"compare --resume {begun}") == line
    (begun / "comparison.json").unlink()
    assert call(f"compare --resume {begun} --minutes 1e-9").code == 0
    assert (begun / "comparison.json").is_file()


def test_a_plan_that_was_not_written_is_and_one_that_vanished_is_told(begun, call):
    plan = (begun / "plan.json").read_text()
    (begun / "plan.json").unlink()
    assert "lacks" not in call(f"compare --resume {begun} --minutes 1e-9").err
    assert (begun / "plan.json").read_text() == plan
    (begun / "plan.json").unlink()
    (begun / "se-seed0").mkdir()
    (begun / "se-seed0" / "result.json").write_text('{"score": 0.5}')
    said = call(f"compare --resume {begun} --minutes 1e-9").err
    assert "lacks plan.json: what was settled before its results came cannot be seen" in said


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity"])
def test_a_score_that_is_no_number_is_refused(begun, refused, score):
    (begun / "se-seed0").mkdir()
    (begun / "se-seed0" / "result.json").write_text(f'{{"score": {score}}}')
    assert "result.json has no number as score" in refused(f"compare --resume {begun} --minutes 1e-9")


def test_smoke_keeps_what_is_given_besides():
    words: str = "--smoke --search-seeds 4 --control-seeds 0 1 --train.epochs 3 --search.searcher.epochs 2"
    given, usual = read_settings([*words.split()])
    config = whole(given, usual)
    assert (config.search_seeds, config.control_seeds, config.train.epochs) == ((4,), (0, 1), 3)
    assert config.search is not None
    assert isinstance(config.search.searcher, Darts)
    assert config.search.searcher.epochs == 2
    assert (config.random_cells, config.seeds) == (2, (0,))
