"""The table of timm's models, for three of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import timm_models


def test_models_have_sites_or_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("resnet10t", "vit_tiny_patch16_224", "mobilenetv3_small_050")
    options = timm_models.Options(out=tmp_path / "timm.json", only=names)
    found = timm_models.measure(options)
    assert found["models"]["resnet10t"]["sites"] == 4
    assert "VisionTransformer has no residual block" in found["models"]["vit_tiny_patch16_224"]["refused"]
    assert set(found["tried"]) == {"resnet", "mobilenetv3"}
    assert all("the same bits" in said for said in found["tried"].values())
    text = timm_models.page(found)
    assert "in 2 of them sites are found" in text
    assert "| vision_transformer | 1 | 0 |  |  |" in text
    monkeypatch.setattr(timm_models, "sites_of", None)  # what the file has is not tried again
    assert timm_models.measure(options) == found
