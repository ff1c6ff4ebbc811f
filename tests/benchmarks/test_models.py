"""The matrix of models on two small networks: answers, what is wrong, going on after a stop, and the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import autola
from benchmarks.models import __main__ as matrix
from benchmarks.models import checks
from benchmarks.models.networks import NETWORKS, Network
from benchmarks.models.page import SAYS, counts, page
from benchmarks.models.trial import Trial, WrongError, answer_of
from foundation.errors import InputError

SPLIT, NESTED = "YOLO-like, split blocks", "YOLO-like, nested blocks"
QUICK = ("attach", "identity", "pickle", "copy", "state", "detach", "fold")


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(network=NETWORKS[SPLIT], attention="se", folder=tmp_path)


def test_it_has_enough_networks_and_one_line_for_each_check() -> None:
    assert len(NETWORKS) >= 40
    assert {network.library for network in NETWORKS.values()} >= {"torchvision", "timm", "transformers"}
    assert list(SAYS) == list(checks.CHECKS)


def test_two_networks_are_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "far", replace(NETWORKS[SPLIT], library="no_such_library"))
    options = matrix.Options(
        networks=(SPLIT, NESTED, "far"),
        attentions=("se", "aa"),
        checks=QUICK,
        results=tmp_path / "models.json",
        page=tmp_path / "matrix.md",
    )
    found = matrix.measure(options)
    for name in (SPLIT, NESTED):
        assert found["networks"][name]["se"]["checks"] == dict.fromkeys(QUICK, "pass")
        assert "is gone: what rebuilt" in found["networks"][name]["aa"]["checks"]["fold"]
    assert found["networks"]["far"]["se"]["checks"] == {"attach": "refused: no_such_library is not installed"}
    monkeypatch.setattr(matrix, "cell", lambda *args: pytest.fail("it was known"))
    assert json.loads(options.results.read_text()) == matrix.measure(options)
    text = (tmp_path / "matrix.md").read_text()
    assert f"| {SPLIT} | 3: 7 of 12 | 3: 7 of 12, but fold " in text
    assert re.search(r"\| far \| refused, (\d+) \| refused, \1 \|", text)


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["se", "cbam", "hoga", "aa", "dcn"])
def test_every_check_passes(trial: Trial, attention: str) -> None:
    trial = replace(trial, attention=attention)
    for name, check in checks.CHECKS.items():
        assert not answer_of(check, trial, ask_plain=False).startswith("wrong"), name


def test_what_is_wrong_is_noticed(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autola, "detach", lambda model: model)
    assert answer_of(checks.detach, trial, ask_plain=False).startswith("wrong: the output differs")
    monkeypatch.setattr(Trial, "attached", lambda self, *args, **options: self.network.plain())
    assert answer_of(checks.attach, trial, ask_plain=False) == "wrong: nothing was attached, without a word"


def test_what_the_plain_network_does_not_do_is_no_fault_of_attention(trial: Trial) -> None:
    def fails(given: Trial) -> None:
        raise RuntimeError("no kernel")

    def fails_with_attention(given: Trial) -> None:
        if given.attention != "none":
            raise WrongError("other outputs")

    def refuses(given: Trial) -> None:
        raise RuntimeError from InputError("this map\nis too small")

    def said(check: Callable[[Trial], None]) -> str:
        return answer_of(check, trial, ask_plain=True)

    assert said(fails) == "plain: RuntimeError: no kernel"
    assert said(fails_with_attention) == "wrong: other outputs"
    assert said(refuses) == "refused: this map is too small"


def test_no_weight_of_a_network_hides_a_branch() -> None:
    network = Network(library="torch", build=lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    first, second = network.plain().state_dict(), network.plain().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(bool(value.any()) for name, value in first.items() if not name.endswith("tracked"))
    assert not torch.equal(first["1.running_var"], torch.ones(4))


def test_the_page_counts_answers() -> None:
    cells: dict[str, Any] = {
        "se": {"places": 2, "checks": {"attach": "pass", "fold": "refused: a_b | 'layer1.0.bn2'"}},
        "aa": {"checks": {"attach": "refused: groups"}},
    }
    figures = {"surroundings": {"torch": "2"}, "networks": {"net": cells}}
    assert counts(figures)["attach"] == {"pass": 1, "refused": 1, "plain": 0, "wrong": 0}
    text = page(figures)
    assert "| net | 2: 2 of 12, but fold 1 | refused, 2 |" in text
    assert "1. refused: a\\_b \\| ..." in text
    assert "Torch 2." in text
