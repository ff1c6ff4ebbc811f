"""The studies: what they compare, and that what was kept is enough to go on, doing nothing again."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from autola.comparing.config import CompareConfig
from autola.comparing.items import items_of, planned_rows
from autola.comparing.presets import COMPARE_PRESETS
from autola.comparing.rows import Block
from autola.comparing.settings import unlike
from benchmarks import across, study, study_places
from benchmarks.studies import across_of
from foundation.errors import InputError
from outputs.comparison import Comparison
from search_space.grammar import parse_attention
from tests.autola.runs import records


def small() -> CompareConfig:
    """A comparison of three trainings and no search."""
    preset = COMPARE_PRESETS["digits"]
    task = replace(preset.task, width=8, data=replace(preset.task.data, limit=60))  # pyright: ignore
    train = replace(preset.train, epochs=1, batch_size=20, warmup_epochs=0)
    attentions = parse_attention("se"), parse_attention("se[reduction=8]")
    return replace(
        preset,
        task=task,
        train=train,
        search=None,
        attentions=attentions,
        beside=("plain",),
        control_seeds=(0,),
        measure=False,
    )


@pytest.mark.parametrize(
    ("name", "trainings"),
    [
        ("cells", {"cells": 61}),
        ("spread", {"random": 15, "random-wide": 15, "random-unlimited": 15}),
        ("remedies", {"longer": 11, "fair": 11, "whole": 11}),
        ("groups", {"groups": 27}),
        ("transfer", {"from-resnet20": 24, "from-resnet56": 6, "from-wide_resnet16_2": 6}),
        ("finetune", {"finetune": 12}),
        ("translation", {"relative": 21, "sines": 9}),
    ],
)
def test_studies_are_comparisons(name, trainings):
    found = study.comparisons(study.Options(study=name))
    assert found.keys() == trainings.keys()
    for comparison, config in found.items():
        search = None if config.search is None else replace(config.search, target=())
        planned = planned_rows(replace(config, search=search), None, {})
        items = items_of(config, planned)
        assert len({item.name for item in items}) == len(items) == trainings[comparison]
        assert not config.searches or len(config.search_seeds) >= 3
        for _, rows in planned:
            assert all(sum(item.row is row for item in items) >= 3 for row in rows)


def test_what_is_compared_across_is_there_and_trained_alike():
    names = ("spread", "remedies", "transfer")
    found = {name: study.comparisons(study.Options(study=name)) for name in names}
    for name in names:
        assert across_of(name)
        for pair in across_of(name):
            blocks = list[Block]()
            for row in (pair.first, pair.second):
                config = found[row.study][row.comparison]
                assert row.row == "found" or row.row in config.beside
                blocks.append(row.trained_in(config))
            assert not unlike(*((block.task, block.train, {}) for block in blocks))
    assert not across_of("cells")


def test_searches_on_other_days_are_compared_though_their_latencies_differ():
    kept = partial(study.folder, study.Options(study="transfer"))
    first, *_ = across.lines(across_of("transfer")[-1:], kept)
    assert re.fullmatch(
        r"found of from-resnet20 - found of from-wide_resnet16_2 in wide_resnet16_2: "
        r"-0.19 \(-\d.\d\d to \+\d.\d\d\), p 0.\d\d by Holm: no difference shown",
        first,
    )


def test_what_is_compared_across_is_kept_where_it_is_told(tmp_path):
    options = study.Options(study="remedies", out=tmp_path)
    assert study.folder(options) == study.folder(options, "remedies") == tmp_path
    assert study.folder(options, "cells") == Path("outputs/published/study-cells")


def test_the_study_of_cells_is_what_was_asked_for():
    (config,) = study.comparisons(study.Options(epochs=7)).values()
    assert config.search is not None
    assert (len(config.search_seeds), len(config.seeds)) == (3, 3)
    assert (config.random_cells, len(config.random_seeds), len(config.control_seeds)) == (6, 2, 5)
    assert (config.task.backbone, config.task.width, config.train.epochs) == ("cifar_resnet8", 16, 7)  # pyright: ignore
    task: Any = config.task
    assert config.search.data == replace(task.data, limit=20_000)
    assert config.search.target == ("latency<=1.7x",)


def test_what_was_kept_is_enough_to_go_on(tmp_path, monkeypatch, capsys):
    options = study.Options(root=tmp_path / "images", out=tmp_path / "kept", runs=tmp_path / "runs")
    monkeypatch.setattr(study, "comparisons", lambda options: {"small": small()})
    study.run_study(options)
    whole = records(options.runs / "study-small")
    kept = tmp_path / "kept/small"
    assert {path.name for path in kept.iterdir() if path.is_dir()} == {
        "plain-seed0",
        "se-seed0",
        "se-reduction-8-seed0",
    }
    assert not list(kept.rglob("*.safetensors"))
    assert "FOLDER" not in (kept / "config.json").read_text(), "digits lie in no folder"

    shutil.rmtree(options.runs)
    shutil.rmtree(kept / "se-seed0")  # as if it had not been reached
    (kept / "comparison.json").unlink()
    trained = []
    real = study.resume_comparison

    def resume(run, **more):
        before = {path.parent.name for path in run.path.glob("*/result.json")}
        told: Comparison = real(run, **more)
        trained.extend({path.parent.name for path in run.path.glob("*/result.json")} - before)
        return told

    monkeypatch.setattr(study, "resume_comparison", resume)
    study.run_study(options)
    assert trained == ["se-seed0"]
    again = records(options.runs / "study-small")
    for name in ("comparison.json", "scores.csv", "comparison.csv", "se-seed0/result.json"):
        assert again[name] == whole[name]
    capsys.readouterr()
    study.table(options)
    assert "without an interval" in capsys.readouterr().out


def test_the_place_of_the_images_is_left_out_and_put_back(tmp_path):
    run, kept = tmp_path / "run", tmp_path / "kept"
    run.mkdir()
    keys = {"task": {"data": {"root": "/somewhere/images"}}, "search": {"data": {"root": None}}}
    (run / "config.json").write_text(json.dumps(keys))
    study.keep(run, kept)
    assert json.loads((kept / "config.json").read_text())["task"]["data"]["root"] == "FOLDER"
    shutil.rmtree(run)
    study.bring_back(kept, run, tmp_path / "elsewhere")
    back = json.loads((run / "config.json").read_text())
    assert Path(back["task"]["data"]["root"]) == tmp_path / "elsewhere"
    assert back["search"]["data"]["root"] is None


def test_a_study_needs_its_images():
    with pytest.raises(InputError, match="--root FOLDER"):
        study.run_study(study.Options())


def test_placements_are_studied_in_five_networks(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    trained = tmp_path / "weights" / "resnet18.safetensors"
    trained.touch()
    assert list(study_places.SUBJECTS) == [
        "cifar10",
        "camvid",
        "coco-keypoints",
        "imagenet",
        "coco-retinanet",
    ]
    for name, subject in study_places.SUBJECTS.items():
        given, amounts = subject.config(tmp_path), subject.amounts()
        task: Any = given.task
        assert str(tmp_path) in task.data.root
        assert task.weights == (None if name == "cifar10" else str(trained))
        assert given.train.epochs == amounts.train_epochs
        assert amounts.seeds == 3
        assert given.target == study_places.TARGET
