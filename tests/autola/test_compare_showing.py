"""What a comparison shows in a terminal."""

from __future__ import annotations

import re

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
