"""Runs that version 0.1 wrote, opened by this one.

version_0_1.tar.xz holds a search and a retraining of tiny networks on digits, each once whole and once
stopped after an epoch, and what the trained networks gave for one input in float64.
"""

import json
import tarfile
from pathlib import Path

import pytest
import torch

import autola
from search_space.grammar import genotype_at
from tests.equality import assert_equal


@pytest.fixture
def runs(own_folder):
    with tarfile.open(Path(__file__).with_name("version_0_1.tar.xz")) as archive:
        archive.extractall(own_folder, filter="data")
    return own_folder


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_search_is_shown_costed_and_attached(runs, call):
    shown = call("inspect search --no-latency")
    assert shown.code == 0, shown.err
    assert "x1 -> h1" in shown.out
    assert call("cost hoga:search --no-latency --width 4 --input 1 8 8").code == 0
    model = autola.attach(autola.build_backbone("cifar_resnet8", width=4), genotype_at(runs / "search"))
    assert len(autola.attached(model)) == 3
    told = call("search --resume search")
    assert (told.code, "search is complete" in told.err) == (0, True)


@pytest.mark.parametrize("kind", ["search", "retrain"])
def test_a_stopped_run_goes_on_to_its_end(runs, call, kind):
    run, key = runs / f"stopped-{kind}", "weight_loss" if kind == "search" else "train_loss"
    run = run if kind == "search" else run / "se-seed0"
    before = lines(run)
    told = call(f"{kind} --resume stopped-{kind}")
    assert told.code == 0, told.err
    after = lines(run)
    assert after[: len(before)] == before
    assert [line["epoch"] for line in after] == [1, 2]
    if kind == "search":
        whole = lines(runs / "search")
        assert after[1][key] == pytest.approx(whole[1][key], rel=1e-3)
    assert (run / "result.json").is_file()


def test_trained_networks_give_what_they_gave(runs, call):
    x = torch.linspace(-1, 1, 5 * 64, dtype=torch.float64).view(5, 1, 8, 8)
    for name, then in json.loads((runs / "outputs.json").read_text()).items():
        network = autola.load(runs / "retrain" / name).double().eval()
        assert_equal(network(x), torch.tensor(then, dtype=torch.float64), through=network)
    told = call("retrain --resume retrain")
    assert (told.code, "hoga:search" in told.out) == (0, True)
