"""Attention in YOLO networks of ultralytics, which is AGPL-3.0 and no part of autola, by its own trainer.

`make test-yolo` installs it into an environment of its own. Elsewhere this file is skipped.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import autola

ultralytics: Any = pytest.importorskip("ultralytics")

NAMES = ("yolov8n.yaml", "yolo11n.yaml")
SIZE = 128


def network(name: str) -> Any:
    torch.manual_seed(0)
    return ultralytics.YOLO(name).model.eval()


@torch.no_grad()
def raw(model: Any, images: torch.Tensor) -> torch.Tensor:
    out = model(images)
    return out[0] if isinstance(out, tuple | list) else out


def opened(model: Any) -> Any:
    """Attention that does something."""
    for place in autola.attached(model):
        torch.nn.init.constant_(place.module.get_parameter("scale"), 0.5)
    return model


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def eight(tmp_path: Path) -> Path:
    """Eight pictures with a bright square each, in YOLO's layout."""
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    for number in range(8):
        picture = Image.new("RGB", (SIZE, SIZE), (30, 30, 30))
        picture.paste((200, 60, 60), (10 * number, 20, 10 * number + 40, 60))
        picture.save(tmp_path / "images" / f"{number}.png")
        label = f"0 {(10 * number + 20) / SIZE} {40 / SIZE} {40 / SIZE} {40 / SIZE}"
        (tmp_path / "labels" / f"{number}.txt").write_text(label)
    text = f"path: {tmp_path}\ntrain: images\nval: images\nnames:\n  0: square\n"
    (tmp_path / "data.yaml").write_text(text)
    return tmp_path / "data.yaml"


@pytest.mark.parametrize("attention", ["se", "cbam", "hoga"])
@pytest.mark.parametrize("name", NAMES)
def test_it_goes_in_and_out(name: str, attention: str, images: torch.Tensor) -> None:
    model = network(name)
    plain, keys = raw(model, images), set(model.state_dict())
    autola.attach(model, attention, identity=True)
    places = [place.place for place in autola.attached(model)]
    assert len(places) == {"yolov8n.yaml": 6, "yolo11n.yaml": 11}[name]
    assert places[0] == "model.2.m.0.cv2"
    assert keys < set(model.state_dict())
    assert torch.equal(raw(model, images), plain)
    assert torch.equal(raw(autola.detach(model), images), plain)


@pytest.mark.parametrize("name", NAMES)
def test_folding_its_norms_keeps_the_attention(name: str, images: torch.Tensor) -> None:
    model = opened(autola.attach(network(name), "se", identity=True))
    before = raw(model, images)
    fused = copy.deepcopy(model).fuse()
    assert len(autola.attached(fused)) == len(autola.attached(model))
    torch.testing.assert_close(raw(fused, images), before, rtol=1e-4, atol=1e-4)


def test_its_own_trainer_trains_saves_and_loads_it(eight: Path, tmp_path: Path) -> None:
    from ultralytics.models.yolo.detect import (  # pyright: ignore[reportMissingImports]
        DetectionTrainer,
    )

    class AttendedTrainer(DetectionTrainer):
        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
            model: Any = super().get_model(cfg, weights, verbose)
            return model if autola.attached(model) else autola.attach(model, "se", identity=True)

    settings = {"model": "yolo11n.yaml", "data": str(eight), "epochs": 2, "imgsz": SIZE, "batch": 4}
    quiet = {"workers": 0, "device": "cpu", "plots": False, "verbose": False, "warmup_epochs": 0.0}
    trainer = AttendedTrainer(overrides=settings | quiet | {"project": str(tmp_path), "name": "run"})
    trainer.train()
    weights = tmp_path / "run" / "weights" / "last.pt"
    again = ultralytics.YOLO(str(weights))
    assert len(autola.attached(again.model)) == 11
    assert any(float(place.module.get_parameter("scale")) for place in autola.attached(again.model))
    again.val(data=str(eight), imgsz=SIZE, device="cpu", plots=False, verbose=False, workers=0)
    code = "import sys, autola, ultralytics as u; print(len(autola.attached(u.YOLO(sys.argv[1]).model)))"
    command = [sys.executable, "-c", code, str(weights)]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout.split()[-1] == "11"


def test_it_goes_to_onnx(images: torch.Tensor, tmp_path: Path) -> None:
    onnxruntime: Any = pytest.importorskip("onnxruntime")
    model = opened(autola.attach(network("yolo11n.yaml"), "cbam", identity=True)).fuse().eval()
    before = raw(model, images[:1])
    file = tmp_path / "yolo.onnx"
    torch.onnx.export(model, (images[:1],), str(file), dynamo=False, input_names=["images"])
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    found = session.run(None, {"images": images[:1].numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(found), before, rtol=1e-4, atol=1e-3)
