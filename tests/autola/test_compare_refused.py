"""What a comparison refuses, as it would be passed over in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
    from autola.comparing.config import Addition
    from autola.comparing.presets import COMPARE_PRESETS
    from autola.comparing.rows import blocks_of, rows_of
    from autola.comparing.running import check_applies
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
