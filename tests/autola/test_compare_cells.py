"""Where the cells of a comparison come from: searches made before, and random cells alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from autola.comparing.config import OWN_SEEDS
from evaluators.statistics.nested import Nested
from tests.autola.test_compare import SMALL, comparison, folders


def test_found_cells_are_taken_from_searches_that_ended(call, found, own_folder):
    words = SMALL.replace("--seeds 0 ", "--seeds 0 1 ").replace("--search-seeds 0 1", "--search-seeds 0")
    told = call(f"compare {words} --found {found} --beside random plain --out run")
    assert told.code == 0, told.err
    assert folders(own_folder / "run") == {
        *("found0-seed0", "found0-seed1", "random0-seed0", f"random1-seed{OWN_SEEDS}"),
        *("plain-seed0", "plain-seed1"),
    }
    ours = json.loads((own_folder / "run/found0-seed0/genotype.json").read_text())
    assert ours == json.loads((found / "genotype.json").read_text())
    assert "shows nothing of the spread of cells: nothing is tested of found" in told.err
    assert "without an interval: one cell, however often it is trained" in told.out.replace("\n", " ")
    assert "1 x 2" in told.out
    of_found, *others = comparison(own_folder / "run").claims
    assert {claim.verdict for claim in (of_found, *others)} == {"no test"}
    assert of_found.low is of_found.bootstrap is of_found.p_value is of_found.detectable is None


def test_random_cells_stand_alone_where_nothing_is_searched(call, own_folder):
    words = SMALL.replace("--search-seeds 0 1", "--search-seeds").replace(
        "--random-seeds 0", "--random-seeds 0 1"
    )
    told = call(f"compare {words} --beside random plain --out run")
    assert told.code == 0, told.err
    names = {f"random{cell}-seed{OWN_SEEDS * cell + seed}" for cell in (0, 1) for seed in (0, 1)}
    assert folders(own_folder / "run") == {*names, "plain-seed0", "plain-seed1"}
    assert "random cells of the space hoga under macs<=1.4x score" in told.out.replace("\n", " ")
    random, _ = comparison(own_folder / "run").rows
    differ = Nested(tuple(cell.scores for cell in random.cells)).cells_differ()
    assert differ is not None
    assert (random.f_statistic, random.f_p_value) == (differ.statistic, differ.p_value)
    assert f"F(1, 2) = {differ.statistic:.2f}, p {differ.p_value:.3f}" in told.out.replace("\n", " ")
    assert "nothing, so no searches are added" in call("compare --resume run --search-seeds 0").err


def test_searches_of_other_data_or_budget_are_refused(refused, found, own_folder):
    other = Path(shutil.copytree(found, own_folder / "other"))
    keys = json.loads((other / "config.json").read_text())
    keys["seed"], keys["searcher"]["epochs"], keys["data"]["limit"] = 1, 50, 70
    (other / "config.json").write_text(json.dumps(keys))
    line = refused(f"compare {SMALL} --found {found} {other} --out run")
    assert "searcher.epochs 50, not 2; data.limit 70, not 60" in line
    assert "--mixed" in line


def test_the_same_search_twice_and_one_that_did_not_end_are_refused(refused, found, own_folder):
    assert "same search twice" in refused(f"compare {SMALL} --found {found} {found} --out run")
    (found / "result.json").unlink()
    assert "has not ended" in refused(f"compare {SMALL} --found {found} --out run")
