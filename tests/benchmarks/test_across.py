"""Rows of two comparisons against each other: as within one, and only where both are trained alike."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.across import Across, KeptRow, lines
from foundation.errors import InputError
from outputs.comparison import COMPARISON
from outputs.records import CONFIG, DATA

CELLS = Path("outputs/published/study-cells/cells")
PAIR = Across(KeptRow("ours", "x", "found"), KeptRow("theirs", "y", "random"))


@pytest.fixture
def published(tmp_path):
    """The same comparison, as two studies."""
    for row in (PAIR.first, PAIR.second):
        folder = tmp_path / row.study / row.comparison
        folder.mkdir(parents=True)
        for name in (CONFIG, COMPARISON, DATA):
            shutil.copy(CELLS / name, folder / name)
    return tmp_path.joinpath


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_difference_across_is_that_within(published):
    claims = json.loads((CELLS / COMPARISON).read_text())["claims"]
    (claim,) = (each for each in claims if (each["first"], each["second"]) == ("found", "random"))
    numbers = [f"{100 * claim[name]:+.2f}" for name in ("estimate", "low", "high")]
    (line,) = lines([PAIR], published)
    assert line.startswith(f"found of x - random of y: {numbers[0]} ({numbers[1]} to {numbers[2]}), p ")
    assert line.endswith(": no difference shown")


def test_several_are_judged_together(published):
    alone = Across(KeptRow("theirs", "y", "longer"), KeptRow("ours", "x", "plain"))
    told = lines([PAIR, alone], published)
    assert told[1].endswith("p 0.00 by Holm: a difference is shown")
    assert lines([PAIR], published)[0].split(", p ")[0] == told[0].split(", p ")[0]


def test_what_is_trained_otherwise_is_refused_and_elsewhere_is_not(published):
    config = published("theirs") / "y" / CONFIG
    change(config, '"root": "FOLDER"', '"root": "elsewhere"')
    assert lines([PAIR], published)
    change(config, '"backbone": "cifar_resnet8"', '"backbone": "cifar_resnet20"')
    told = (
        "random of y and found of x are not trained alike: task.backbone cifar_resnet20, not cifar_resnet8$"
    )
    with pytest.raises(InputError, match=told):
        lines([PAIR], published)


def test_other_images_in_a_folder_of_the_same_name_are_refused(published):
    change(published("theirs") / "y" / DATA, '"num_classes": 10', '"num_classes": 9')
    with pytest.raises(InputError, match=r"are not trained alike: data\.num_classes 9, not 10"):
        lines([PAIR], published)


def test_what_is_not_there_has_no_line(published):
    (published("theirs") / "y" / COMPARISON).unlink()
    assert lines([PAIR], published) == []
    assert lines([Across(PAIR.first, KeptRow("ours", "x", "hoga"))], published) == []
