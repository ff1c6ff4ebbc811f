"""What a comparison shows in a terminal."""

from __future__ import annotations

import re
from dataclasses import replace

from autola.comparing.conclude import compared_row
from autola.comparing.showing import show
from tests.autola.test_compare_claims import PUBLISHED, read


def test_what_holds_in_one_network_of_several_names_it(capsys):
    told = read(PUBLISHED / "study-transfer/from-resnet20/comparison.json")
    show(told)
    lines = capsys.readouterr().out.splitlines()
    relative = [line for line in lines if "relative to random" in line]
    assert [line.rpartition(" in ")[2] for line in relative] == ["cifar_resnet56", "wide_resnet16_2"]
    assert told.improvement is not None
    assert f"found is {100 * told.improvement:+.2f} %" in relative[0]
    show(read(PUBLISHED / "study-cells/cells/comparison.json"))
    out = capsys.readouterr().out
    assert re.search("relative to random$", out, re.MULTILINE)
    assert "retrained scores: Kendall" in out


def test_tables_leave_out_what_has_no_value(capsys):
    told = read(PUBLISHED / "study-cells/cells/comparison.json")
    show(told)
    whole = capsys.readouterr().out
    for words in (
        "found - row",
        "verdict",
        "± one",
        "in brackets",
        "p of all",
        "* the primary",
        "train step",
    ):
        assert words in whole
    cells = [replace(row.cells[0], step_ms=None, latency_ms=None, latency_ratio=None) for row in told.rows]
    rows = [
        compared_row(row.name, "", "", (cell,)) for row, cell in zip(told.rows, cells) if row.name != "se"
    ]
    show(replace(told, rows=tuple(rows), claims=(), sentence="Done."))
    some = capsys.readouterr().out
    for words in ("- row", "verdict", "brackets", "p of all", "primary", "train step", "image", "to plain"):
        assert words not in some
    assert "params" in some
    assert "± one standard deviation\n" in some
    show(replace(told, claims=tuple(replace(claim, primary=False) for claim in told.claims)))
    assert "primary" not in capsys.readouterr().out.split(told.sentence[:20])[0]


def test_nothing_but_the_sentence_is_shown_where_nothing_has_a_score(capsys):
    told = read(PUBLISHED / "study-cells/cells/comparison.json")
    empty = replace(told, rows=(), claims=(), ranks=(), sentence="All trainings are left.", run="here")
    show(empty)
    assert capsys.readouterr().out.split() == ["All", "trainings", "are", "left.", "run", "here"]
