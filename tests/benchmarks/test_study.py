"""The study: which trainings it makes, in which order, and that none is made twice."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from benchmarks import study
from search_space.genotype import Genotype


def test_every_seed_comes_to_everything_before_the_next():
    options = study.Options(rounds=3, random_cells=2)
    listed = list(study.items(options))
    assert len({item.file for item in listed}) == len(listed)
    assert [item.seed for item in listed] == sorted(item.seed for item in listed)
    counts = Counter(item.name for item in listed)
    assert counts.pop("random0") == counts.pop("random1") == 2
    assert set(counts.values()) == {3}


def test_random_cells_are_the_same_on_every_machine_and_differ():
    cells = study.cells(study.Options())
    assert cells == study.cells(study.Options())
    assert len({cell.to_json() for cell in cells.values()}) == len(cells)
    assert {edge.operator for node in cells["se-wrapped"].nodes for edge in node.edges} == {"SE"}


def test_an_item_that_has_a_result_is_not_run_again(tmp_path, monkeypatch, capsys):
    options = study.Options(
        root=tmp_path, out=tmp_path / "out", runs=tmp_path / "runs", rounds=2, random_cells=1
    )
    trained = []

    def train(item, _):
        if len(trained) == 5:
            raise KeyboardInterrupt
        trained.append(item)
        accuracy = 0.5 + item.seed / 10
        figures = {"macs": 10, "test_accuracy": accuracy, "wall_seconds": 1.0}
        return {"name": item.name, "epochs": item.epochs, **figures}

    monkeypatch.setattr(study, "train", train)
    with pytest.raises(KeyboardInterrupt):
        study.run(options)
    trained_before, trained[:] = list(trained), []
    study.run(replace(options, only=("none", "hoga")))
    assert [item.name for item in trained] == ["hoga", "none", "hoga"], "the first training of none is there"
    assert len(trained_before) + len(trained) == len(list(options.out.glob("*.json")))
    stored = Genotype.from_json((options.runs / "cells" / "random0.json").read_text())
    assert stored == study.cells(options)["random0"]
    capsys.readouterr()
    study.show(options)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["none", "5", "0.0", "M", "2", "55.00", "±", "7.07"] in rows
    assert json.loads((options.out / trained[0].file).read_text())["name"] == "hoga"
