"""A search over placements from the command line, and what is done with what it finds."""

import json
from pathlib import Path

import pytest
import torch

import autola
from search_space.grammar import placement_at
from searchers.searches.differentiable import DifferentiableSearch
from supernet.attach import attached
from supernet.backbones import BACKBONES, build_backbone
from tests.autola.conftest import Call, Refused
from tests.autola.runs import assert_goes_on

SEARCH = (
    "search digits --space places --primitives none se eca --data.limit 60 --width 4 "
    "--backbone cifar_resnet8 --searcher.epochs 2 --searcher.batch-size 10 --target params<=1.02x"
)


def test_what_is_found_is_taken_by_the_other_commands(call, own_folder):
    told = call(SEARCH, "--out run")
    assert told.code == 0, told.err
    placement = placement_at("run")
    lines = dict(line.split(maxsplit=1) for line in told.out.splitlines())
    assert lines["found"] == str(placement)
    assert lines["next"].startswith("autola retrain none se cbam places:run --preset digits")
    told = call("inspect run --no-latency --json --svg found.svg --png found.png")
    shown = json.loads(told.out)
    assert {row["site"]: row["attention"] for row in shown["sites"]} == placement.attentions
    assert all(row["share"] > 0 for row in shown["sites"])
    assert all(
        f"site {standing.site}" in (own_folder / "found.svg").read_text() for standing in placement.standings
    )
    assert call("report run -o report.html").code == 0
    page = (own_folder / "report.html").read_text(encoding="utf-8")
    assert f"Found: {placement}" in page
    assert "data:image/svg+xml;base64," in page
    assert "autola search digits --space places" in page
    plain, found = shown["costs"][0]["params"], shown["costs"][-1]["params"]
    assert found <= 1.02 * plain
    assert "layer1.0.bn2" in call("inspect run --no-latency").out
    assert call("cost places:run --no-latency --backbone cifar_resnet14").code == 0
    net = autola.build_backbone("cifar_resnet8", num_classes=10, in_channels=1, width=4)
    autola.attach(net, own_folder / "run")
    assert {each.place: each.attention for each in attached(net)} == {
        standing.site: standing.attention for standing in placement.taken()
    }
    told = call("retrain places:run --data.limit 60 --width 4 --backbone cifar_resnet8 --out again "
                "--train.epochs 2 --train.batch-size 20 --train.warmup-epochs 1 --seeds 0")  # fmt: skip
    assert told.code == 0, told.err
    assert placement_at("again/places-run-seed0") == placement


@pytest.mark.parametrize("step", [1, 4])
def test_a_search_that_is_stopped_finds_the_same_from_the_same_weights(call, own_folder, step):
    train = "retrain none --data.limit 60 --width 4 --backbone cifar_resnet8 --train.epochs 1 --seeds 0"
    assert call(train, "--train.warmup-epochs 0 --train.batch-size 20 --out plain").code == 0
    search = f"{SEARCH} --weights plain/none-seed0"
    assert call(search, "--out whole").code == 0
    assert_goes_on(call, search, DifferentiableSearch, step)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--space places --primitives none aw", "aw does not stand after a module"),
        ("--space places --primitives none", "none leaves nothing to search"),
        ("--space places --sites nowhere", "unknown site 'nowhere'"),
        ("--space places --num-nodes 2", "num_nodes and fuse are of cells"),
        ("--space places --target params<=0.5x", "no placement has params"),
        ("--space places --weights nowhere.pt", "no weights at nowhere.pt"),
        ("--space places --searcher pc_darts", "take all channels"),
        ("--space places --engine nni --searcher random", "leave it out to search the space places"),
        ("--sites layer1.0.bn2", "sites are of the space places"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(call, own_folder, words, message):
    told = call("search digits --data.limit 60 --backbone cifar_resnet8", words, "--out run")
    assert told.code == 2
    assert message in told.err
    assert len(told.err.strip().splitlines()) <= 2
    assert not (own_folder / "run").exists()


class Repeating(torch.nn.Module):
    """One norm that is used twice, in a classifier."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(in_channels, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)
        self.fc = torch.nn.Linear(4, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.norm(self.norm(self.conv(x))).mean((2, 3)))


OWN = "search digits --data.limit 60 --space places --searcher.batch-size 10 --searcher.epochs 1 --threads 1 "


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--backbone repeating", "has no residual block"),
        ("--backbone repeating --sites norm", "comes by site 'norm' 2 times"),
        ("--backbone repeating --sites norms", "norms"),
        ("--backbone resting --primitives none simam", "nothing of the network learns"),
        ("--backbone cifar_resnet8 --target params<=0.5x", "no placement has params <= "),
        ("--backbone cifar_resnet8 --searcher.batch-size 40", "do not fill a batch"),
        ("--backbone cifar_resnet8 --primitives none", "leaves nothing to search"),
        ("--backbone cifar_resnet8 --primitives none aw", "aw does not stand after a module"),
    ],
)
def test_own_networks_that_make_no_sense_are_refused(
    refused: Refused, own_folder: Path, monkeypatch: pytest.MonkeyPatch, words: str, message: str
) -> None:
    def repeating(*, num_classes: int, in_channels: int, width: int | None, name: str) -> torch.nn.Module:
        return Repeating(num_classes, in_channels)

    def resting(*, num_classes: int, in_channels: int, width: int | None, name: str) -> torch.nn.Module:
        plain = build_backbone("cifar_resnet8", num_classes=num_classes, in_channels=in_channels, width=4)
        return plain.requires_grad_(False)

    BACKBONES._load()
    monkeypatch.setitem(BACKBONES._entries, "repeating", repeating)
    monkeypatch.setitem(BACKBONES._entries, "resting", resting)
    assert message in refused(OWN + words)


def test_what_does_not_fit_is_left_out_in_a_line(call: Call, own_folder: Path) -> None:
    told = call(OWN + "--backbone cifar_resnet8 --width 6 --primitives none se hoga --out run")
    assert told.code == 0, told.err
    (line,) = (line for line in told.err.splitlines() if "does not fit" in line)
    assert "hoga does not fit the channels of layer1.0.bn2" in line
