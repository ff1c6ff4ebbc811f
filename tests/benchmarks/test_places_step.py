"""The step of a search beside its candidates, and searches in the matrix's networks, on small ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from benchmarks import places_step
from benchmarks.models import searched
from benchmarks.models.networks import NETWORKS, Network

YOLO = "YOLO-like, split blocks"


def test_a_step_is_timed_beside_its_candidates() -> None:
    options = places_step.Options(
        net="cifar_resnet8", candidates=("none", "se", "simam"), batch=2, size=8, repeats=2
    )
    found = places_step.measure(options)
    assert set(found["seconds"]) == {"plain", "se", "simam", "search", "recomputed"}
    assert found["calls"]["search"] > found["calls"]["plain"] > 0
    kept = found["kept_mb_an_image"]
    assert kept["recomputed"] < kept["plain"] < kept["se"] < kept["search"]


def test_a_search_begins_in_a_network_of_the_matrix(tmp_path: Path) -> None:
    options = searched.Options(networks=(YOLO,), results=tmp_path / "searched.json")
    (said,) = searched.measure(options)["networks"].values()
    assert said["said"] == "pass"
    assert said["sites"] == 3
    assert said["derived"] < searched.CLOSE
    assert options.results.exists()


def test_what_is_wrong_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searched, "must_equal", lambda *args: None)
    monkeypatch.setattr(searched, "CLOSE", -1.0)
    assert searched.searched(NETWORKS[YOLO])["said"].startswith("wrong: the derived network differs")
    bare = Network(library="torch", build=lambda: nn.Sequential(nn.Conv2d(3, 4, 3)))
    assert searched.searched(bare)["said"].startswith("refused: ")
