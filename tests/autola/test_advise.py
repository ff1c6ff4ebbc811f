"""Advice: what helps is found and said, what does not is left, and a stopped run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import autola
from autola import advising
from autola.advising.conclude import LEAVE, concluded
from autola.advising.rows import FOUND, NOTHING, rows_of
from evaluators.place_costs import place_table
from foundation.errors import InputError
from searchers.limits import Limits, parse_target
from supernet.placing import places_of

SPACE = ("none", "se", "eca")


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
    """Few steps and seeds, whatever the clock says."""
    monkeypatch.setattr(advising, "MOST_STEPS", 4)
    monkeypatch.setattr(advising, "LEAST_STEPS", 4)
    monkeypatch.setattr(advising, "MOST_SEEDS", 3)


def advise(out: Path | None = None, **changes: Any) -> autola.Advice:
    given = {"target": "params<=1.1x", "minutes": 60.0, "space": SPACE, "out": out}
    train, valid = (DataLoader(data(count, seed), batch_size=8) for count, seed in ((40, 0), (16, 1)))
    return autola.advise(network(), train, valid, loss, **(given | changes))


def test_all_rows_are_trained_and_the_model_is_left_alone() -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train, valid = ([next(iter(DataLoader(data(8, seed), 8)))] for seed in (0, 1))
    advice = autola.advise(model, train * 4, valid, loss, minutes=60, space=SPACE)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    names = [row.name for row in advice.rows]
    assert names[0] == NOTHING
    assert "eca everywhere" in names
    assert "se everywhere" in names
    assert all(len(row.scores) == 3 for row in advice.rows)
    assert {"params", "macs", "latency"} == set(advice.rows[0].costs)
    assert str(advice).endswith(advice.sentence)
    assert (advice.placement is None) == (LEAVE in advice.sentence.lower())


def test_stopped_anywhere_it_ends_with_the_same_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = advise(tmp_path / "whole")
    monkeypatch.setattr(advising.AdviceRecords, "CHECKPOINT_SECONDS", -1.0)
    real, calls = torch.nn.functional.cross_entropy, 0

    def counted(*args: Any, **others: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls % 37 == 0:
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
    assert calls > 74
    assert [(row.name, row.placement, row.scores) for row in advice.rows] == [
        (row.name, row.placement, row.scores) for row in whole.rows
    ]


def test_a_folder_of_other_advice_is_refused(tmp_path: Path) -> None:
    advise(tmp_path / "run")
    with pytest.raises(InputError, match="target differ"):
        advise(tmp_path / "run", target="params<=1.2x")
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="holds no advice"):
        advise(tmp_path / "other")


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


def test_rows_keep_the_limit_and_random_ones_cost_what_was_found() -> None:
    placements, _, limits, found = rows()
    assert placements[FOUND] == found
    assert all(limits.allows(placement) for placement in placements.values())
    assert len(set(map(str, placements.values()))) == len(placements)
    chance = [placement for name, placement in placements.items() if name.startswith("random")]
    assert chance
    assert all(len(list(placement.taken())) == 1 for placement in chance)


def test_only_what_is_shown_is_advised() -> None:
    placements, tables, _, _ = rows()
    costs = {name: {"params": tables["params"].of(each)} for name, each in placements.items()}
    noise = {name: [0.5, 0.51, 0.49] for name in placements}
    settings: Any = {"score_name": "accuracy", "seconds": 1.0}
    assert concluded(placements, costs, noise, complete=True, **settings).placement is None
    better = noise | {FOUND: [0.9, 0.91, 0.89]}
    advice = concluded(placements, costs, better, complete=True, **settings)
    assert advice.placement == placements[FOUND]
    assert advice.sentence.startswith("Put se at")
    worse = concluded(placements, costs, noise | {FOUND: [0.1, 0.11, 0.09]}, complete=True, **settings)
    assert LEAVE in worse.sentence.lower()
    unfinished = concluded(placements, costs, better, complete=False, **settings)
    assert unfinished.placement is None
    assert "nothing is tested" in unfinished.sentence


@pytest.mark.parametrize(
    "words", ["advise digits --data.limit 80 --width 4 --backbone cifar_resnet8 --train.batch-size 16"]
)
def test_the_command_ends_in_a_table_and_a_sentence(call: Any, own_folder: Path, words: str) -> None:
    told = call(words, "--primitives none se eca --target params<=1.05x --minutes 60 --out run")
    assert told.code == 0, told.err
    assert "held-out accuracy" in told.out.splitlines()[0]
    assert told.out.splitlines()[1].startswith(NOTHING)
    again = call(words, "--primitives none se eca --target params<=1.05x --minutes 60 --out run")
    assert again.out == told.out
    assert (own_folder / "run" / "placement.json").is_file()


def test_the_command_refuses_what_it_cannot_do(refused: Any) -> None:
    short = "advise digits --data.limit 80 --width 4 --backbone cifar_resnet8 --train.batch-size 16"
    assert "advice computes in one process" in refused(f"{short} --devices 2")
    assert "no placement has params" in refused(f"{short} --target params<=0.5x")
    assert "unknown retrain preset" in refused("advise nowhere")
