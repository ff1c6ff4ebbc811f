"""Advice: what helps is found and said, what does not is left, and a stopped run goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import autola
from autola.advice_config import AdviceConfig
from autola.advising import RECIPE, planning, running
from autola.advising.conclude import LEAVE, concluded
from autola.advising.rows import FOUND, NOTHING, rows_of
from autola.presets import RETRAIN_PRESETS
from evaluators.place_costs import place_table
from evaluators.tasks import TASKS
from foundation.errors import InputError
from outputs.comparison import Claim, ComparedCell, ComparedRow, Comparison
from outputs.run_directory import RunDirectory
from searchers.limits import Limits, parse_target
from supernet.placing import places_of

SPACE = ("none", "se", "eca")
SHORT = replace(RECIPE, epochs=1)


def network() -> nn.Module:
    torch.manual_seed(0)
    return autola.build_backbone("cifar_resnet8", num_classes=3, in_channels=3, width=4)


def loss(model: Any, batch: Any) -> torch.Tensor:
    images, labels = batch
    return nn.functional.cross_entropy(model(images), labels)


def data(count: int, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    images = torch.randn(count, 3, 8, 8, generator=generator)
    images[torch.arange(count), labels] += 1
    return TensorDataset(images, labels)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few epochs, seeds and timed steps, whatever the clock says."""
    monkeypatch.setattr(planning, "MOST_EPOCHS", 2)
    monkeypatch.setattr(planning, "MOST_SEEDS", 3)
    monkeypatch.setattr(planning, "FINALISTS", 2)
    monkeypatch.setattr(planning, "NEIGHBOURS", 1)
    monkeypatch.setattr(running, "BUDGET", 0.01)


def advise(out: Path, **changes: Any) -> autola.Advice:
    given = {"target": "params<=1.1x", "minutes": 60.0, "space": SPACE, "out": out, "recipe": SHORT}
    train, valid = (DataLoader(data(count, seed), batch_size=8) for count, seed in ((40, 0), (16, 1)))
    return autola.advise(network(), train, valid, loss, **(given | changes))


def test_all_rows_are_trained_and_the_model_is_left_alone(tmp_path: Path) -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train, valid = ([next(iter(DataLoader(data(8, seed), 8)))] for seed in (0, 1))
    advice = autola.advise(
        model, train * 4, valid, loss, minutes=60, space=SPACE, recipe=SHORT, out=tmp_path / "run"
    )
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    names = [row.name for row in advice.rows]
    assert names[0] == NOTHING
    assert "eca everywhere" in names
    assert "se everywhere" in names
    assert all(len(row.scores) == 3 for row in advice.rows)
    assert {"params", "macs", "latency"} == set(advice.rows[0].costs)
    assert str(advice).endswith(advice.sentence)
    assert (advice.placement is None) == advice.sentence.startswith(LEAVE)
    assert "own" not in TASKS


def test_stopped_anywhere_it_ends_with_the_same_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = advise(tmp_path / "whole")
    real, calls = torch.nn.functional.cross_entropy, 0

    def counted(*args: Any, **others: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls % 61 == 0:
            raise KeyboardInterrupt
        return real(*args, **others)

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", counted)
    for _ in range(60):
        try:
            advice = advise(tmp_path / "run")
            break
        except KeyboardInterrupt:
            continue
    else:
        raise AssertionError("it never ended")
    assert calls > 61  # it was stopped
    assert [(row.name, row.placement, row.scores) for row in advice.rows] == [
        (row.name, row.placement, row.scores) for row in whole.rows
    ]


def test_a_folder_of_other_advice_is_refused_and_more_time_adds_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = advise(tmp_path / "run")
    with pytest.raises(InputError, match="something else: target"):
        advise(tmp_path / "run", target="params<=1.2x")
    with torch.no_grad():
        other = network()
        next(other.parameters()).mul_(2)
    batches = DataLoader(data(40, 0), batch_size=8)
    settings: Any = {"target": "params<=1.1x", "minutes": 60, "space": SPACE, "recipe": SHORT}
    with pytest.raises(InputError, match=r"weights: .* now"):
        autola.advise(other, batches, DataLoader(data(16, 1), 8), loss, out=tmp_path / "run", **settings)
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="not a run folder"):
        advise(tmp_path / "other")
    monkeypatch.setattr(planning, "MOST_SEEDS", 4)
    more = advise(tmp_path / "run")
    assert [len(row.scores) for row in more.rows] == [4] * len(first.rows)
    assert [row.scores[:3] for row in more.rows] == [row.scores for row in first.rows]


def test_two_processes_in_one_folder_are_kept_apart_and_damage_is_said(tmp_path: Path) -> None:
    advise(tmp_path / "run")
    with RunDirectory(tmp_path / "run").lock(), pytest.raises(InputError, match="another process"):
        advise(tmp_path / "run")
    result = next((tmp_path / "run" / "compare").glob("*/result.json"))
    result.write_text("{")
    (tmp_path / "run" / "compare" / "comparison.json").unlink()
    with pytest.raises(InputError, match=r"result\.json"):
        advise(tmp_path / "run")
    plan = tmp_path / "run" / "plan.json"
    plan.write_text(json.dumps({"search_epochs": 1}))
    with pytest.raises(InputError, match=r"plan\.json"):
        advise(tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minutes": 0}, "not positive"),
        ({"minutes": 1e-6}, "give .* minutes or more"),
        ({"target": "params<=0.5x"}, "no placement has params"),
        ({"space": ("none",)}, "nothing to search"),
        ({"sites": ["nowhere"]}, "unknown site"),
    ],
)
def test_what_cannot_be_advised_on_is_refused_and_nothing_is_written(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        advise(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()
    assert "own" not in TASKS


def test_data_that_cannot_be_halved_are_refused() -> None:
    for train, message in (
        (iter([1]), "DataLoader, or a list"),
        (DataLoader(data(9, 0), batch_size=8), "does not fill a batch"),
    ):
        with pytest.raises(InputError, match=message):
            autola.advise(network(), train, [1], loss)


def rows(target: str | None = "params<=1.1x") -> Any:
    model = network()
    space = places_of(model, SPACE)
    tables: Any = {"params": place_table("params", space, model, (3, 8, 8), torch.device("cpu"))}
    limits = None if target is None else Limits(space, parse_target(target), tables)
    found = space.genotype(["none", "se", "none"])
    shares: Any = {row: dict.fromkeys(SPACE, 1 / 3) for row in space.rows}
    return rows_of(space, found, shares, tables, limits, 0), tables, limits, found


def test_the_search_learns_as_the_recipe_does() -> None:
    preset = RETRAIN_PRESETS["coco-keypoints"]
    given = AdviceConfig(task=preset.task, train=preset.train, threads=1, seed=3)
    epochs: Any = {"search_epochs": 5, "final_epochs": 2, "train_epochs": 7}
    plan = planning.AdvicePlan(search_seconds=1.0, training_seconds=1.0, tables={}, **epochs)
    search = planning.search_of(given, plan)
    searcher: Any = search.searcher
    assert (preset.train.optimizer, searcher.optimizer) == ("adam", "adam")
    assert (searcher.epochs, searcher.finals.epochs, searcher.batch_size) == (5, 2, preset.train.batch_size)
    assert (search.seed, search.threads) == (3, 1)


def test_rows_keep_the_limit_and_random_ones_cost_what_was_found() -> None:
    placements, _, limits, found = rows()
    assert placements[FOUND] == found
    assert all(limits.allows(placement) for placement in placements.values())
    assert len(set(map(str, placements.values()))) == len(placements)
    chance = [placement for name, placement in placements.items() if name.startswith("random")]
    assert chance
    assert all(len(list(placement.taken())) == 1 for placement in chance)


def comparison(placements: Any, verdict: Any, *, done: int = 9) -> Comparison:
    """A comparison of the plain network, of score 0.5, with rows of 0.6."""
    cell = ComparedCell(attention="", seeds=(0, 1, 2), scores=(0.5, 0.51, 0.49), params=1, macs=1)
    better = replace(cell, scores=(0.6, 0.61, 0.59))
    kinds: Any = {"block": "", "setting": "", "deviation": None, "between": None, "within": None}
    made = [
        ComparedRow(name=name, cells=(cell if name == NOTHING else better,), mean=0.5, **kinds)
        for name in placements
    ]
    claim = Claim(
        block="", first=NOTHING, second=FOUND, primary=True, estimate=-0.1, low=-0.12, high=-0.08,
        bootstrap=None, p_value=0.01, adjusted=0.01, equivalence=1.0, detectable=None, verdict=verdict,
    )  # fmt: skip
    return Comparison(
        run="", score="test accuracy", done=done, planned=9, rows=tuple(made), claims=(claim,), margin=0.005,
        improvement=None, ranks=(), sentence="",
    )  # fmt: skip


def test_only_what_a_comparison_claims_is_advised() -> None:
    placements, tables, _, _ = rows()
    names = {name: name for name in placements if name != NOTHING}

    def advice(verdict: Any, **changes: Any) -> autola.Advice:
        compared = comparison(placements, verdict, **changes)
        return concluded(placements, tables, compared, names, run="run", seconds=1.0)

    better = advice("lower")
    assert better.placement == placements[FOUND]
    assert better.sentence.startswith("Put se at")
    assert "+0.1 in test accuracy, 95 % interval +0.08 to +0.12, over 3 trainings each" in better.sentence
    for verdict in ("higher", "equivalent", "no difference shown", "not claimed", "no test"):
        assert advice(verdict).placement is None
        assert advice(verdict).sentence.startswith(LEAVE)
    unfinished = advice("no test", done=5)
    assert unfinished.placement is None
    assert "nothing is tested" in unfinished.sentence
    assert not unfinished.complete


SMALL = (
    "advise digits --data.limit 80 --width 4 --backbone cifar_resnet8 --train.batch-size 16 --train.epochs 2 "
    "--train.warmup-epochs 0"
)


def test_the_command_ends_in_a_table_and_a_sentence(call: Any, own_folder: Path) -> None:
    words = (SMALL, "--primitives none se eca --target params<=1.05x --minutes 60 --out run")
    told = call(*words)
    assert told.code == 0, told.err
    assert "test accuracy" in told.out.splitlines()[0]
    assert told.out.splitlines()[1].startswith(NOTHING)
    again = call(*words)
    assert again.out == told.out
    assert (own_folder / "run" / "search" / "placement.json").is_file()
    result = json.loads((own_folder / "run" / "search" / "result.json").read_text())
    trained = [final["genotype"] for final in result["finals"]]
    assert len(set(trained)) == len(trained) > 1
    assert result["genotype"] in trained
    assert (own_folder / "run" / "advice.txt").read_text() in told.out
    status = call("status run/compare")
    assert status.code == 0, status.err


def test_the_command_refuses_what_it_cannot_do(refused: Any) -> None:
    assert "one device; train side by side" in refused(f"{SMALL} --devices 2")
    assert "no placement has params" in refused(f"{SMALL} --target params<=0.5x")
    assert "unknown retrain preset" in refused("advise nowhere")
