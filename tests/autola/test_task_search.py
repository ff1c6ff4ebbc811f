"""Placements searched in the networks of tasks: their losses, their halves, their weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from autola.commands.search import read_settings
from autola.configs import TaskSearch
from autola.problem import search_problem
from autola.runtime import make_fabric
from evaluators.tasks import TASKS
from search_space.grammar import placement_at
from searchers.searches.differentiable import DifferentiableSearch
from supernet.attach import attached
from tests.autola.conftest import Call, Refused
from tests.autola.runs import assert_goes_on
from tests.evaluators.coco_squares import write_squares
from tests.evaluators.dense import tiny, write_people, write_scenes
from tests.evaluators.pictures import write_pictures

SHORT = (
    "--space places --primitives none se eca --workers 0 --weights None --searcher.epochs 2 "
    "--searcher.batch-size 2 --data.root data --threads 1"
)
COMMANDS = {
    "imagenet": f"search imagenet {SHORT} --backbone resnet18 --image-size 32 --resize 36",
    "coco-detection": f"search coco-faster-rcnn {SHORT} --detector.backbone resnet18 --detector.min-sizes 64 "
    "--detector.max-size 64 --detector.regions 16 --detector.trainable-stages 5",
    "coco-keypoints": f"search coco-keypoints {SHORT} --backbone tiny_resnet --image-size 64 32 "
    "--data.train few --data.test few",
    "segmentation": f"search camvid {SHORT} --backbone tiny_resnet --crop 33 --data.train few "
    "--data.test few --data.num-classes 3 --data.classes --data.ignore 255",
}


def write(task: str, root: Path) -> None:
    root.mkdir()
    match task:
        case "imagenet":
            write_pictures(root)
        case "coco-detection":
            write_squares(root)
        case "coco-keypoints":
            write_people(root, num_images=5)
        case _:
            write_scenes(root)


narrow = tiny  # the fixture, which pytest finds by the names of this module


@pytest.fixture(params=list(COMMANDS))
def command(request: pytest.FixtureRequest, own_folder: Path, narrow: str) -> str:
    write(request.param, own_folder / "data")
    return COMMANDS[request.param]


def settings(command: str) -> TaskSearch:
    config = read_settings(command.split()[1:])[1]
    assert isinstance(config, TaskSearch)
    return config


def test_every_task_is_here_or_searched_otherwise() -> None:
    assert {*COMMANDS, "classification", "translation"} == set(TASKS)


def test_a_search_starts_as_the_plain_network_on_two_halves(command: str) -> None:
    config = settings(command)
    problem, _ = search_problem(config, make_fabric(config))
    supernet, plain = problem.supernet().eval(), problem.backbone().eval()
    size = config.searcher.batch_size  # pyright: ignore[reportAttributeAccessIssue]
    (batch,) = tuple[Any, ...](problem.batches(0, size).batch(0, 0))
    supernet.begin_step(0.0)
    with torch.no_grad():
        before, now = _tensors(plain(batch[0])), _tensors(supernet(batch[0]))
    assert before
    assert all(map(torch.equal, before, now))
    with torch.no_grad():
        supernet.begin_step(1.0)
        assert not all(map(torch.equal, before, _tensors(supernet(batch[0]))))
    first, second, _ = problem.settings  # pyright: ignore[reportAttributeAccessIssue]
    assert not set(_images(first)) & set(_images(second))
    assert abs(len(_images(first)) - len(_images(second))) <= 1


def test_a_search_that_is_stopped_finds_the_same(command: str, call: Call, own_folder: Path) -> None:
    told = call(command, "--target params<=1.05x --out whole")
    assert told.code == 0, told.err
    assert "halves of the training set:" in told.err
    assert_goes_on(call, f"{command} --target params<=1.05x", DifferentiableSearch, 1)
    placement = placement_at("run")
    told = call("inspect run --json")
    assert told.code == 0, told.err
    shown = json.loads(told.out)
    assert {row["site"]: row["attention"] for row in shown["sites"]} == placement.attentions
    assert call("report run -o report.html").code == 0
    assert f"Found: {placement}" in (own_folder / "report.html").read_text(encoding="utf-8")
    config = settings(command)
    problem, known = search_problem(config, make_fabric(config))
    found = {each.place: each.attention for each in attached(problem.found(placement))}
    assert found == {standing.site: standing.attention for standing in placement.taken()}
    assert known["input_shape"][0] == 3


@pytest.mark.slow
@pytest.mark.parametrize("searcher", ["evolution", "random_ws", "gdas"])
def test_other_searchers_judge_by_the_score_of_the_task(command: str, call: Call, searcher: str) -> None:
    trials = "" if searcher == "gdas" else "--trials 2"
    told = call(command.replace("--searcher.epochs 2", ""), f"--searcher {searcher} {trials}",
                "--searcher.epochs 1 --out run")  # fmt: skip
    assert told.code == 0, told.err


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 3])
def test_a_search_stopped_anywhere_finds_the_same(
    command: str, call: Call, own_folder: Path, step: int
) -> None:
    assert call(command, "--out whole").code == 0
    assert_goes_on(call, command, DifferentiableSearch, step, codes=(0, 130))  # 0: it has fewer steps


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("search cifar100", "cifar100 is a preset of trainings"),
        ("search camvid --space hoga", "leave --space out, which searches places"),
        ("search camvid --target params<=1.1x params<=1.2x --data.root data --workers 0", "one --target"),
        ("search camvid --data.root nowhere", "nowhere"),
        ("search camvid --data.root data --workers 0 --weights None --data.train few --data.test few "
         "--data.num-classes 3 --data.classes --data.ignore 255 --crop 33", "2 images do not fill a batch"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(refused: Refused, own_folder: Path, words: str, message: str) -> None:
    write_scenes(own_folder / "data")
    assert message in refused(words)


def _images(setting: object) -> list[str]:
    """What tells the training images of a setting apart."""
    for name, of in {
        "_samples": lambda samples: [str(image.id) for image in samples.found.images],
        "train": lambda part: (
            [str(each) for each in getattr(part, "pairs", getattr(part, "files", ()))]
            or [str(image.id) for image in part.coco.images]
        ),
    }.items():
        if hasattr(setting, name):
            return of(getattr(setting, name))
    raise AssertionError(setting)


def _tensors(value: object) -> list[torch.Tensor]:
    """All tensors of what a network says, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value
    return [tensor for part in parts for tensor in _tensors(part)]  # pyright: ignore[reportGeneralTypeIssues]
