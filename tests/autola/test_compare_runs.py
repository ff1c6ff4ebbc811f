"""`autola compare --runs`: retrainings that there are, as they are."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_ind

from autola.comparing.runs import compare_runs


@pytest.fixture
def variant(finished, own_folder):
    """Makes a retraining of other scores, seeds or settings out of the finished one."""

    def make(name: str, scores, seeds, **train) -> Path:
        run = Path(shutil.copytree(finished[1], own_folder / name))
        table = json.loads((run / "table.json").read_text())
        for row, own in zip(table["rows"], scores):
            row.update(scores=own, seeds=seeds)
        (run / "table.json").write_text(json.dumps(table))
        config = json.loads((run / "config.json").read_text())
        config["train"] |= train
        (run / "config.json").write_text(json.dumps(config))
        return run

    return make


SCORES = ([0.90, 0.91, 0.92, 0.90], [0.81, 0.80, 0.83, 0.82])


def test_seeds_of_several_runs_make_one_row_with_scipys_numbers(variant, call):
    one = variant("one", [scores[:2] for scores in SCORES], [0, 1])
    two = variant("two", [scores[2:] for scores in SCORES], [2, 3])
    found = compare_runs([one, two])
    (claim,) = found.claims
    theirs: Any = ttest_ind(*SCORES, equal_var=False)
    assert claim.low is not None
    assert claim.high is not None
    assert claim.estimate == pytest.approx(np.mean(SCORES[0]) - np.mean(SCORES[1]))
    assert claim.estimate / theirs.statistic == pytest.approx((claim.high - claim.low) / 2 / _quantile(claim))
    assert claim.verdict == "higher"
    assert not claim.primary
    assert [row.cells[0].seeds for row in found.rows] == [(0, 1, 2, 3)] * 2
    told = call(f"compare --runs {one} {two}")
    assert told.code == 0, told.err
    assert "None of these contrasts was named before" in told.out


def test_what_is_not_shown_is_a_sentence(variant):
    close = variant("close", ([0.8, 0.9], [0.81, 0.88]), [0, 1])
    assert compare_runs([close]).sentence.startswith("none is not shown to differ from hoga. None of these")


def test_a_score_more_than_seeds_is_refused_with_what_mends_it(variant, refused):
    other = variant("other", ([0.8, 0.9, 0.7], [0.81, 0.88]), [0, 1])
    line = refused(f"compare --runs {other}")
    assert "rows.0: 2 seeds and 3 scores; there is one of each" in line
    assert f"delete it, and autola retrain --resume {other} makes it anew" in line


def test_a_module_of_the_users_may_be_called_as_rows_of_cells_are(finished, own_folder):
    run = Path(shutil.copytree(finished[1], own_folder / "run"))
    table = json.loads((run / "table.json").read_text())
    for row, name in zip(table["rows"], ("found", "random")):
        row.update(attention=name, scores=[0.8, 0.9], seeds=[0, 1])
    (run / "table.json").write_text(json.dumps(table))
    told = compare_runs([run])
    assert [row.name for row in told.rows][:2] == ["given-found", "given-random"]
    assert not any(row.drawn for row in told.rows)


def _quantile(claim):
    """Student's quantile of the degrees of freedom in use."""
    from scipy.stats import t

    from evaluators.statistics.difference import difference
    from evaluators.statistics.nested import Nested

    shift = difference(*(Nested((tuple(scores),)) for scores in SCORES))
    return t.ppf(0.975, shift.freedom)


def test_one_seed_gives_a_table_without_intervals_and_says_so(finished, call):
    told = call(f"compare --runs {finished[1]}")
    assert told.code == 0, told.err
    assert "no test" in told.out
    assert "a row with one seed" in " ".join(told.out.split())
    (claim,) = compare_runs([finished[1]]).claims
    assert (claim.low, claim.high, claim.adjusted) == (None, None, None)


def test_other_data_or_budget_is_refused_with_the_difference(variant, refused, call):
    one = variant("one", SCORES, [0, 1, 2, 3])
    longer = variant("longer", SCORES, [4, 5, 6, 7], epochs=3)
    said = refused(f"compare --runs {one} {longer}")
    assert "different data or budget: train.epochs 3, not 2;" in said
    told = call(f"compare --runs {one} {longer} --mixed")
    assert told.code == 0, told.err
    assert "longer: none" in told.out
    assert "budgets may differ" in " ".join(told.out.split())
    other = variant("other", SCORES, [4, 5, 6, 7])
    data = json.loads((other / "data.json").read_text())
    data["std"][0] += 1
    (other / "data.json").write_text(json.dumps(data))
    assert "data.std" in refused(f"compare --runs {one} {other}")


def test_what_cannot_be_compared_is_one_line(variant, finished, refused):
    one = variant("one", SCORES, [0, 1, 2, 3])
    same = variant("same", SCORES, [3, 4, 5, 6])
    assert "the seed 3 of another run" in refused(f"compare --runs {one} {same}")
    assert "named twice" in refused(f"compare --runs {one} {one}")
    assert "is for new trainings" in refused(f"compare --runs {one} --jobs 2")
    assert "is for new trainings" in refused(f"compare se --runs {one}")
    assert "is a search" in refused(f"compare --runs {finished[0]}")
    assert "is not a run folder" in refused("compare --runs nowhere")
    (part,) = one.glob("hoga-seed0")
    assert f"is one training of the retraining {one}; name that" in refused(f"compare --runs {part}")
    (same / "table.json").unlink()
    assert "same has not ended; autola retrain --resume" in refused(f"compare --runs {one} {same}")
