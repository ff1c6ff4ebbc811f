"""What may be claimed of rows: of those that were published, the same as before; of one cell, nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autola.comparing.claims import claims_of
from autola.comparing.conclude import compared_row
from autola.comparing.plan import Contrast, Plan
from foundation.config import parse_json
from outputs.comparison import ComparedRow, Comparison

PUBLISHED = Path(__file__).parents[2] / "outputs/published"
RECORDS = sorted(PUBLISHED.rglob("comparison.json"))


def read(path: Path) -> Comparison:
    return parse_json(Comparison, path.read_text(), str(path))


def plan_behind(told: Comparison) -> Plan:
    """The contrasts of a comparison whose cells of a row were trained equally often."""
    rows = {(row.block, row.name): row for row in told.rows}
    contrasts = list[Contrast]()
    for claim in told.claims:
        first, second = (rows[claim.block, name] for name in (claim.first, claim.second))
        contrasts.append(
            Contrast(
                block=claim.block,
                first=first.name,
                second=second.name,
                primary=claim.primary,
                cells=(len(first.cells), len(second.cells)),
                trainings=(len(first.cells[0].scores), len(second.cells[0].scores)),
                detectable=None,
            )
        )
    return Plan(contrasts=tuple(contrasts), spread=None, margin=told.margin, trainings=0, searches=0)


def again(row: ComparedRow, cells: int | None = None) -> ComparedRow:
    """A row worked out anew, of its first cells alone."""
    return compared_row(row.name, row.block, row.setting, row.cells[:cells])


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.parent.name)
def test_published_claims_are_worked_out_the_same(path):
    told = read(path)
    assert claims_of(plan_behind(told), told.rows, told.margin, complete=True) == list(told.claims)
    for row in told.rows:
        anew = again(row)
        assert (anew.mean, anew.deviation, anew.between) == (row.mean, row.deviation, row.between)


@pytest.mark.parametrize(("name", "tested"), [("found", 0), ("random", 8), ("se", 9)])
def test_nothing_is_claimed_of_one_cell_of_a_row_of_cells(name, tested):
    told = read(PUBLISHED / "study-cells/cells/comparison.json")
    rows = [again(row, 1) if row.name == name else row for row in told.rows]
    fewer = replace(told, rows=tuple(rows))
    claims = claims_of(plan_behind(fewer), rows, told.margin, complete=True)
    (one,) = (row for row in rows if row.name == name)
    assert (one.deviation is None) == (name != "se")
    assert one.within is not None
    assert sum(claim.low is not None for claim in claims) == tested
    for claim in claims:
        if name != "se" and name in (claim.first, claim.second):
            assert claim.bootstrap is claim.p_value is claim.equivalence is claim.detectable is None
            assert claim.verdict == "no test"
