"""The sentence that a comparison ends with: numbers and verbs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autola.comparing.presets import COMPARE_PRESETS
from autola.comparing.saying import sentence_of
from outputs.comparison import Comparison
from tests.autola.test_compare_claims import PUBLISHED, read


def told(study: str, verdict: str) -> Comparison:
    found = read(PUBLISHED / study / "comparison.json")
    return replace(found, claims=tuple(replace(claim, verdict=verdict) for claim in found.claims))


@pytest.mark.parametrize("verdict", ["higher", "equivalent", "no test"])
def test_cells_score_and_a_module_scores(verdict):
    config = COMPARE_PRESETS["digits"]
    cells = sentence_of(told("study-cells/cells", verdict), config, 0)
    assert "cells found by darts under macs<=1.2x score 0.39 points less" in cells
    module = sentence_of(told("study-finetune/finetune", verdict), config, 0)
    assert ", hoga scores " in module
    if verdict != "no test":
        assert "They also score " in cells
        assert "It also scores " in module


def test_one_is_not_several():
    config, found = COMPARE_PRESETS["digits"], told("study-cells/cells", "no test")
    rows = tuple(replace(row, cells=row.cells[:1]) for row in found.rows)
    claims = tuple(replace(claim, low=None, high=None) for claim in found.claims)
    said = sentence_of(replace(found, rows=rows, claims=claims), config, 1)
    assert "(1 cell x 3 trainings and 1 cell x 2 trainings)" in said
    assert "after 1 result could be seen" in said
    left = sentence_of(replace(found, done=found.planned - 1), config, 0)
    assert left.startswith(f"1 of {found.planned} trainings is left: nothing is tested")


def test_more_than_there_can_be_is_not_promised():
    config, found = COMPARE_PRESETS["digits"], told("study-cells/cells", "no difference shown")
    few = replace(found, claims=tuple(replace(claim, detectable=1.36) for claim in found.claims))
    assert "so few trainings would find none that there can be" in sentence_of(few, config, 0)
    apart = tuple(
        replace(
            row,
            cells=tuple(
                replace(cell, scores=tuple(score - 3 for score in cell.scores)) for cell in row.cells
            ),
        )
        for row in few.rows
    )
    assert "one of 136.00 points would be found" in sentence_of(replace(few, rows=apart), config, 0)
